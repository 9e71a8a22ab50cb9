// What verbs that are given pictures share: what is written must not come to lie among them, and what reports say of them.
#pragma once
#include <filesystem>

#include "report.hpp"
#include "rig/gan/picture_set.hpp"

namespace program {

/// Whether a path, which need not be there, is a folder or lies in it.
inline bool lies_in(std::string const& path, std::string const& folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path const full = fs::weakly_canonical(fs::absolute(path, ignored), ignored);
  for (fs::path p = full; !p.empty(); p = p.parent_path()) {
    if (fs::equivalent(p, folder, ignored)) return true;
    if (p == p.parent_path()) break;
  }
  return false;
}

/// Error if what is written into `folder` would come to lie among the pictures, or if these lie in `sheets`, a folder (if any) that holds
/// sheets alone.
inline void check_apart(std::string const& option, std::string const& folder, std::string const& pictures, std::string const& sheets = {}) {
  rig::check(!lies_in(folder, pictures) && (sheets.empty() || !lies_in(pictures, sheets)), option, " ", folder,
             ": expected a folder apart from the pictures in ", pictures, "; sheets would come to lie among them");
}

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
