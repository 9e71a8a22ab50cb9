// Contact sheets: pictures in a grid with labels, written in a 5x9 bitmap font of our own, so that a sheet needs nothing
// but a PNG to be read.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "rig/core/tensor.hpp"

namespace program {

struct Colour {
  unsigned char r = 0, g = 0, b = 0;
};

/// RGB bytes, row 0 on top.
struct Canvas {
  int width = 0, height = 0;
  std::vector<unsigned char> rgb;

  Canvas() = default;
  Canvas(int w, int h, Colour fill = {255, 255, 255});
  unsigned char* at(int x, int y) { return rgb.data() + 3 * (std::size_t(y) * std::size_t(width) + std::size_t(x)); }
  void fill(int x, int y, int w, int h, Colour c);
  void line(double x0, double y0, double x1, double y1, Colour c);
  void dot(double x, double y, double radius, Colour c);
  /// A picture in its place; what lies outside is cut off.
  void put(int x, int y, Canvas const& picture);
  /// Text with its top left corner at (x, y), each dot `scale` pixels wide. Bytes outside printable ASCII show as boxes.
  void text(int x, int y, std::string_view s, Colour c, int scale = 1);
  /// [height, width, 3]
  rig::Tensor<unsigned char> tensor() const;
};

/// Pixels that `text` covers.
int text_width(std::string_view s, int scale = 1);
int text_height(int scale = 1);

/// A picture [h, w, 3] or [1, h, w, 3] (or one channel) with values low..high as bytes: truncated after adding half, clamped.
Canvas to_canvas(rig::Tensor<float> const& picture, float low = 0, float high = 1);
/// Area average down, nearest up, to a given width; keeps the shape.
Canvas resized(Canvas const& c, int width);

/// A grid of pictures. Cells may differ in size; a column is as wide as the widest of its cells, its label and its captions: a label
/// that is cut may be the same as its neighbour's.
class Sheet {
 public:
  explicit Sheet(std::string title = {}) : title_(std::move(title)) {}
  void columns(std::vector<std::string> labels) { columns_ = std::move(labels); }
  /// A row; a cell without pixels stays empty, a caption stands under its cell.
  void row(std::string label, std::vector<Canvas> cells, std::vector<std::string> captions = {});
  void note(std::string line) { notes_.push_back(std::move(line)); }
  Canvas draw() const;

 private:
  struct Row {
    std::string label;
    std::vector<Canvas> cells;
    std::vector<std::string> captions;
  };
  std::string title_;
  std::vector<std::string> columns_, notes_;
  std::vector<Row> rows_;
};

}  // namespace program
