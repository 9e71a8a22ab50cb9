// What reports say of the pictures that a verb was given.
#pragma once
#include "report.hpp"
#include "rig/gan/picture_set.hpp"

namespace program {

/// A table of the files that could not be used, if there are any; the first hundred.
inline void report_skipped(Report& page, rig::gan::PictureSet const& pictures) {
  if (pictures.skipped.empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < std::min<std::size_t>(100, pictures.skipped.size()); ++i)
    rows.push_back({pictures.skipped[i].name, pictures.skipped[i].why});
  page.heading("Files left out");
  page.table({"file", "why"}, rows, rig::str(pictures.skipped.size(), " files could not be used"));
}

/// The same for report.json: all of them, with the reasons.
inline Json skipped_json(rig::gan::PictureSet const& pictures) {
  Json list = Json::array();
  for (auto const& s : pictures.skipped) list.push_back({{"file", s.name}, {"why", s.why}});
  return list;
}

}  // namespace program
