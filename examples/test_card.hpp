// A picture of our own on which every augmentation shows: patches of colour, a ramp of greys, an arrow, and strokes that read only
// one way round.
#pragma once
#include <cmath>

#include "rig/core/tensor.hpp"

namespace test_card {

/// [side, side, 3] in -1..1.
inline rig::Tensor<float> draw(int side = 64) {
  rig::Tensor<float> card({side, side, 3});
  float* out = card.mutate();
  float const patches[8][3] = {{1, -1, -1}, {-1, 1, -1}, {-1, -1, 1},          {1, 1, -1},
                               {-1, 1, 1},  {1, -1, 1},  {0.4f, -0.1f, -0.4f}, {0.8f, 0.3f, 0}};
  char const* const letters[7] = {"1111.1111.", "1....1...1", "1....1...1", "111..1111.", "1....1.1..", "1....1..1.", "1....1...1"};
  for (int i = 0; i < side; ++i)
    for (int j = 0; j < side; ++j) {
      double const x = (j + 0.5) / side, y = (i + 0.5) / side;  // 0..1
      float colour[3] = {0.55f, 0.6f, 0.65f};
      auto paint = [&](float r, float g, float b) { colour[0] = r, colour[1] = g, colour[2] = b; };
      if (y < 0.2) {
        float const* p = patches[int(8 * x)];
        paint(p[0], p[1], p[2]);
      } else if (y > 0.85) {
        float const grey = float(2 * x - 1);
        paint(grey, grey, grey);
      } else if (x < 0.5) {  // the arrow, up and to the right
        double const along = (x - 0.08) + (0.78 - y), across = std::abs((x - 0.08) - (0.78 - y));
        if ((along > 0.05 && along < 0.5 && across < 0.06) || (along >= 0.5 && along < 0.8 && across < 0.8 * (0.8 - along) + 0.02))
          paint(-0.7f, -0.75f, -0.3f);
      } else {
        int const row = int((y - 0.3) / 0.065), column = int((x - 0.54) / 0.042);
        if (y >= 0.3 && row < 7 && x >= 0.54 && column < 10 && letters[row][column] == '1') paint(0.9f, -0.6f, -0.8f);
      }
      for (int c = 0; c < 3; ++c) *out++ = colour[c];
    }
  return card;
}

}  // namespace test_card
