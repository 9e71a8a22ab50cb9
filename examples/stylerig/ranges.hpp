// Options that are numbers: what CLI::PositiveNumber and CLI::NonNegativeNumber check, said in a few words instead of with the 300
// digits of the largest number.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace program {

inline CLI::Validator positive() {
  return {[](std::string& text) {
            double v = 0;
            return CLI::detail::lexical_cast(text, v) && v > 0 ? std::string() : "expected a positive number, found '" + text + "'";
          },
          "POSITIVE"};
}
inline CLI::Validator not_negative() {
  return {[](std::string& text) {
            double v = 0;
            return CLI::detail::lexical_cast(text, v) && v >= 0 ? std::string() : "expected a number from 0 on, found '" + text + "'";
          },
          "NONNEGATIVE"};
}

}  // namespace program
