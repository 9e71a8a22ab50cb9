#include "landmarks.hpp"

#include <filesystem>
#include <fstream>
#include <memory>

#include "face_nets.hpp"
#if RIG_HAS_DLIB
#include <dlib/array2d.h>
#include <dlib/image_processing/shape_predictor.h>
#endif

namespace program {
using namespace rig;

namespace {
[[maybe_unused]] char const* const debian_file = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat";

void check_square(Tensor<float> const& pictures) {
  check(pictures.rank() == 4 && pictures.size() > 0 && pictures.dim(3) == 3 && pictures.dim(1) == pictures.dim(2),
        "landmarks: pictures must be square, [n, s, s, 3], got ", pictures.shape());
}

#if RIG_HAS_DLIB
/// Where dlib's face detector puts its box in pictures aligned as FFHQ's are, in pixels of a picture of `side`.
dlib::rectangle detector_box(std::int64_t side) {
  double const half = 0.29, x = 0.5, y = 0.62, s = double(side);
  return {std::lround((x - half) * s), std::lround((y - half) * s), std::lround((x + half) * s) - 1, std::lround((y + half) * s) - 1};
}

LandmarkFinder dlib_finder(std::string const& path) {
  auto predictor = std::make_shared<dlib::shape_predictor>();
  std::ifstream file(path, std::ios::binary);
  check(bool(file), path, ": cannot open dlib's shape predictor; in Debian it is in the package libdlib-data");
  try {
    dlib::deserialize(*predictor, file);
  } catch (std::exception const& e) {
    throw Error(path + ": expected a shape predictor of dlib: " + e.what());
  }
  check(predictor->num_parts() == 68, path, ": expected a shape predictor of 68 points, found ", predictor->num_parts());
  return {"dlib", [predictor](Tensor<float> const& pictures) {
            check_square(pictures);
            // Small pictures are enlarged: the trees compare single pixels.
            std::int64_t const n = pictures.dim(0), s = pictures.dim(1), side = 256;
            Tensor<float> points({n, 68, 2});
            float* y = points.mutate();
            dlib::array2d<dlib::rgb_pixel> picture(side, side);
            for (std::int64_t i = 0; i < n; ++i) {
              Tensor<float> const large = cut_out(pictures.rows(i, 1), {upright_crop(0, 0, 1, s, s)}, side).to(cpu());
              float const* x = large.data();
              auto byte = [&] { return static_cast<unsigned char>(std::clamp(*x++, 0.f, 1.f) * 255 + 0.5f); };
              for (long r = 0; r < side; ++r)
                for (long c = 0; c < side; ++c) {
                  auto const red = byte(), green = byte(), blue = byte();
                  picture[r][c] = dlib::rgb_pixel(red, green, blue);
                }
              auto const found = (*predictor)(picture, detector_box(side));
              for (unsigned long l = 0; l < 68; ++l) {
                *y++ = (float(found.part(l).x()) + 0.5f) / float(side);
                *y++ = (float(found.part(l).y()) + 0.5f) / float(side);
              }
            }
            return points;
          }};
}
#endif
}  // namespace

bool dlib_is_there() {
#if RIG_HAS_DLIB
  return std::filesystem::exists(debian_file);
#else
  return false;
#endif
}

LandmarkFinder landmark_finder(std::string const& what, Device const& device) {
  if (what == "dlib" || what.rfind("dlib:", 0) == 0) {
#if RIG_HAS_DLIB
    return dlib_finder(what == "dlib" ? debian_file : what.substr(5));
#else
    throw Error(what + ": this build has no dlib; install libdlib-dev and libdlib-data and build again, or name a folder with face-api's " +
                "landmark network");
#endif
  }
  auto net = std::make_shared<LandmarkNet const>(what, device);
  return {"face-api", [net](Tensor<float> const& pictures) {
            check_square(pictures);
            return (*net)(pictures.to(net->device()));
          }};
}

}  // namespace program
