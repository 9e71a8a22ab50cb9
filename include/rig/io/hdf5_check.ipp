#pragma once
// What the HDF5 library would follow in a file, followed first: the library takes memory for lengths as they stand in the
// file, walks trees and lists that may lead back to where they came from, and reads texts that need not end. Every part of
// the file has one owner, so the lengths of the parts add up to no more than the file; that bounds all of it.
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "rig/io/bytes.hpp"

namespace rig::inline RIG_ABI::io::detail {

class H5Check {
 public:
  /// Checks the superblock and the root group.
  explicit H5Check(Bytes const& file) : file_(file) {
    Cursor in = at(0, file.size);
    in.take(8);
    int const version = in.little<std::uint8_t>();
    in.require(version <= 3, "version ", version, " is not read");
    std::uint64_t root = 0, tree = none, heap = none, extension = none, driver = none;
    if (version < 2) in.take(4);
    int const address = in.little<std::uint8_t>(), length = in.little<std::uint8_t>();
    in.require(address == 8 && length == 8, "addresses and lengths of ", address, " and ", length, " bytes are not read");
    in.take(1);
    if (version < 2) {
      leaf_ = in.little<std::uint16_t>();
      inner_ = in.little<std::uint16_t>();
      in.take(4);
      if (version == 1) {
        chunks_ = in.little<std::uint16_t>();
        in.take(2);
      }
    }
    std::uint64_t const base = in.little<std::uint64_t>(), second = in.little<std::uint64_t>(), end = in.little<std::uint64_t>();
    if (version < 2) {
      driver = in.little<std::uint64_t>();
      in.take(8);
      root = in.little<std::uint64_t>();
      bool const cached = in.little<std::uint32_t>() == 1;
      in.take(4);
      if (cached) tree = in.little<std::uint64_t>(), heap = in.little<std::uint64_t>();
    } else {
      extension = second;
      root = in.little<std::uint64_t>();
    }
    in.require(base == 0 && driver == none && extension == none, "settings of a driver, or shared tables, are not read");
    in.require(end <= file.size, "the file should have ", end, " bytes and has ", file.size);
    claim(0, in.position());
    if (tree != none) group(tree, heap);
    root_tree_ = tree, root_heap_ = heap;
    object(root);
  }

  /// Checks the object whose header lies there, before the library opens it.
  void object(std::uint64_t address) {
    if (!objects_.insert(address).second) return;
    object_ = address, element_ = 0;
    Cursor in = at(address, std::min<std::uint64_t>(64, left(address)));
    if (file_.text().substr(std::size_t(address), 4) != "OHDR") {
      in.require(in.little<std::uint8_t>() == 1, "an object's header is of no known version");
      in.take(7);
      std::uint64_t const size = in.little<std::uint32_t>();
      claim(address, 16);
      messages(address + 16, size, 0);
      return;
    }
    in.take(4);
    in.require(in.little<std::uint8_t>() == 2, "an object's header is of no known version");
    int const flags = in.little<std::uint8_t>();
    if (flags & 0x20) in.take(16);
    if (flags & 0x10) in.take(4);
    std::uint64_t const size = unsigned_of(in, 1 << (flags & 3));
    claim(address, in.position() + 4);
    messages(address + in.position(), size, (flags & 4) ? 6 : 4);
  }

  static constexpr std::uint64_t whole = ~std::uint64_t(0);
  using Pieces = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  /// Part of a dataset that is stored in pieces: where it lies in the file, which filters were left out for it, and its first element. A
  /// size of `whole` is that of all its elements.
  struct Piece {
    std::uint64_t address = 0, size = 0;
    std::uint32_t mask = 0;
    std::vector<std::uint64_t> first = {};
  };
  /// The pieces of a checked dataset.
  std::vector<Piece> const& pieces(std::uint64_t address) const {
    static std::vector<Piece> const nothing;
    auto const found = pieces_.find(address);
    return found == pieces_.end() ? nothing : found->second;
  }

 private:
  static constexpr std::uint64_t none = ~std::uint64_t(0);
  static constexpr char const* what = "hdf5";

  std::uint64_t left(std::uint64_t address) const {
    check(address <= file_.size, "hdf5: an address lies beyond the end of the file");
    return file_.size - address;
  }
  Cursor at(std::uint64_t address, std::uint64_t size) const {
    check(size <= left(address), "hdf5: a part of ", size, " bytes at byte ", address, " lies beyond the end of the file");
    return Cursor(file_.sub(address, size).span(), what);
  }
  Cursor claim(std::uint64_t address, std::uint64_t size) {
    Cursor const in = at(address, size);
    claimed_ += size;
    check(claimed_ <= file_.size, "hdf5: the file is damaged: its parts add up to more than the file");
    return in;
  }
  static std::uint64_t unsigned_of(Cursor& in, int bytes) {
    std::uint64_t v = 0;
    for (int i = 0; i < bytes; ++i) v |= std::uint64_t(in.little<std::uint8_t>()) << (8 * i);
    return v;
  }

  // The messages of a header from `address` on, and those of its continuations; `head` is 0 in headers of version 1.
  void messages(std::uint64_t address, std::uint64_t size, std::uint64_t head) {
    Pieces open{{address, size}};
    while (!open.empty()) {
      auto const [start, bytes] = open.back();
      open.pop_back();
      Cursor in = claim(start, bytes);
      while (in.remaining() >= (head ? head : 8)) {
        int const type = head ? in.little<std::uint8_t>() : in.little<std::uint16_t>();
        std::uint64_t const length = in.little<std::uint16_t>();
        int const flags = in.little<std::uint8_t>();
        in.take(head ? head - 4 : 3);
        Cursor data(in.take(length), what);
        if (type == 0) continue;
        data.require((flags & 2) == 0, "an object shares its description with another, which is not read");
        if (type == 0x10) {
          std::uint64_t first = data.little<std::uint64_t>(), count = data.little<std::uint64_t>();
          if (head) {
            data.require(count >= 8, "a continuation of ", count, " bytes");
            Cursor mark = claim(first, 4);
            mark.require(mark.text(4) == "OCHK", "a continuation that is none");
            claim(first + 4, 4);  // its checksum
            first += 4, count -= 8;
          }
          open.emplace_back(first, count);
        } else {
          message(type, data);
        }
      }
    }
  }

  void message(int type, Cursor& in) {
    switch (type) {
      case 0x01: return void(dataspace(in));
      case 0x02: return dense(in, "links", 8);
      case 0x03: return one_element(in, datatype(in, 0));
      case 0x04: return fill(in);
      case 0x05: return fill_value(in);
      case 0x06: return link(in);
      case 0x07: in.fail("values that lie in another file, which is not opened");
      case 0x08: return layout(in);
      case 0x0B: return filters(in);
      case 0x0C: return attribute(in);
      case 0x0D: in.require(in.text(in.remaining()).find('\0') != std::string_view::npos, "a comment that does not end"); return;
      case 0x0F:
      case 0x14:
      case 0x17:
      case 0x18: in.fail("settings of a driver, or shared tables, are not read");
      case 0x11: {
        std::uint64_t const tree = in.little<std::uint64_t>(), heap = in.little<std::uint64_t>();
        if (tree != root_tree_ || heap != root_heap_) group(tree, heap);
        return;
      }
      case 0x15: return dense(in, "attributes", 2);
      case 0x0A:
      case 0x0E:
      case 0x12:
      case 0x13:
      case 0x16: in.take(std::min<std::uint64_t>(in.remaining(), 4)); return;
      default: in.fail("an object has a description of unknown kind ", type);
    }
  }

  // Where links and attributes lie when there are many of them, in files written for the latest version only.
  void dense(Cursor& in, char const* of, int order) {
    in.take(1);
    if (in.little<std::uint8_t>() & 1) in.take(std::uint64_t(order));
    in.require(in.little<std::uint64_t>() == none, "many ", of, " of one object, kept in the form of new versions (libver=\"latest\" or ",
               "track_order), which is not read");
  }

  std::uint64_t dataspace(Cursor& in) {
    int const version = in.little<std::uint8_t>(), rank = in.little<std::uint8_t>(), flags = in.little<std::uint8_t>();
    in.require((version == 1 || version == 2) && rank <= 32 && flags <= 1, "a shape of no known form");
    in.take(version == 1 ? 5 : 1);
    std::uint64_t count = 1;
    for (int a = 0; a < rank; ++a) {
      auto const n = in.little<std::uint64_t>();
      in.require(n == 0 || count <= (std::uint64_t(1) << 48) / n, "a shape of too many elements");
      count *= n;
    }
    if (flags) in.take(std::uint64_t(rank) * 8);
    return count;
  }

  // Returns how many bytes an element has.
  std::uint64_t datatype(Cursor& in, int depth) {
    std::uint32_t const word = in.little<std::uint32_t>();
    std::uint64_t const size = in.little<std::uint32_t>();
    int const kind = int(word & 15), version = int(word >> 4 & 15);
    in.require(version >= 1 && version <= 3 && size > 0 && size < (1u << 24) && depth <= 2, "a type of no known form");
    auto bits = [&] {
      std::uint64_t const offset = in.little<std::uint16_t>(), count = in.little<std::uint16_t>();
      in.require(offset + count <= 8 * size && count > 0, "a number of ", count, " bits at ", offset, " in ", size, " bytes");
      return count;
    };
    switch (kind) {
      case 0:
      case 4: bits(); break;
      case 1: {
        std::uint64_t const count = bits();
        std::uint64_t const exponent = in.little<std::uint8_t>(), wide = in.little<std::uint8_t>(), mantissa = in.little<std::uint8_t>(),
                            long_ = in.little<std::uint8_t>();
        in.take(4);
        in.require(wide > 0 && long_ > 0 && exponent + wide <= count && mantissa + long_ <= count && (word >> 16 & 0xff) < 8 * size,
                   "a floating-point type that does not fit itself");
        break;
      }
      case 3: break;
      case 5: {
        auto const tag = in.text(word >> 8 & 0xff);
        in.require(tag.empty() || tag.find('\0') != std::string_view::npos, "a text that does not end");
        break;
      }
      case 7: break;
      case 8: {
        in.require(datatype(in, depth + 1) == size, "an enumeration of another size than its numbers");
        std::uint64_t const count = word >> 8 & 0xffff;
        for (std::uint64_t i = 0; i < count; ++i) {
          std::uint64_t n = 1;
          while (in.little<std::uint8_t>()) ++n;
          if (version < 3) in.take((8 - n % 8) % 8);
        }
        in.take(count * size);
        break;
      }
      case 9: datatype(in, depth + 1); break;
      default: in.fail("a type made of several (compound, array or time), which is not read");
    }
    return size;
  }

  void fill_value(Cursor& in) {
    int const version = in.little<std::uint8_t>(), flags = in.little<std::uint8_t>();
    if (version == 3) {
      if (flags & 0x20) fill(in);
      return;
    }
    in.require(version == 1 || version == 2, "a fill value of no known form");
    in.take(1);
    if (in.little<std::uint8_t>() || version == 1) fill(in);
  }
  void fill(Cursor& in) {
    std::uint64_t const size = in.little<std::uint32_t>();
    in.take(size);
    if (size) one_element(in, size);
  }
  // An object's type and its fill value must be of one size: the library copies as many bytes as the type has.
  void one_element(Cursor const& in, std::uint64_t size) {
    in.require(element_ == 0 || element_ == size, "a fill value that is no element: their sizes are ", size, " and ", element_, " bytes");
    element_ = size;
  }

  static void link(Cursor& in) {
    in.take(1);
    int const flags = in.little<std::uint8_t>(), kind = (flags & 8) ? in.little<std::uint8_t>() : 0;
    if (flags & 4) in.take(8);
    if (flags & 16) in.take(1);
    in.take(unsigned_of(in, 1 << (flags & 3)));
    if (kind == 0)
      in.take(8);
    else
      in.take(in.little<std::uint16_t>());
  }

  static void filters(Cursor& in) {
    int const version = in.little<std::uint8_t>(), count = in.little<std::uint8_t>();
    in.require((version == 1 || version == 2) && count <= 3, "a list of ", count, " filters of version ", version);
    if (version == 1) in.take(6);
    bool seen[4] = {};
    for (int i = 0; i < count; ++i) {
      unsigned const id = in.little<std::uint16_t>();
      in.require(id >= 1 && id <= 3 && !seen[id], "values compressed by filter ", id,
                 "; only deflate, shuffle and checksums, once each, are read");
      seen[id] = true;
      std::uint64_t const name = version == 1 ? in.little<std::uint16_t>() : 0;
      in.take(2);
      std::uint64_t const values = in.little<std::uint16_t>();
      auto const text = in.text(version == 1 ? (name + 7) / 8 * 8 : 0);
      in.require(text.empty() || text.find('\0') != std::string_view::npos, "a text that does not end");
      in.take(4 * values);
      if (version == 1 && values % 2) in.take(4);
    }
  }

  void attribute(Cursor& in) {
    int const version = in.little<std::uint8_t>(), flags = in.little<std::uint8_t>();
    in.require(version >= 1 && version <= 3 && (version == 1 || flags == 0), "an attribute of no known form");
    std::uint64_t const name = in.little<std::uint16_t>(), type = in.little<std::uint16_t>(), space = in.little<std::uint16_t>();
    if (version == 3) in.take(1);
    auto padded = [&](std::uint64_t n) { return version == 1 ? (n + 7) / 8 * 8 : n; };
    in.require(in.text(padded(name)).substr(0, name).find('\0') != std::string_view::npos, "a name that does not end");
    Cursor types(in.take(padded(type)), what), spaces(in.take(padded(space)), what);
    std::uint64_t const size = datatype(types, 0), count = dataspace(spaces);
    in.require(count <= in.remaining() / size, "an attribute of ", count, " elements in ", in.remaining(), " bytes");
  }

  void layout(Cursor& in) {
    int const version = in.little<std::uint8_t>();
    in.require(version >= 1 && version <= 4, "values laid out in no known way");
    int rank = 0, kind = 0;
    std::uint64_t address = none;
    if (version < 3) {
      rank = in.little<std::uint8_t>(), kind = in.little<std::uint8_t>();
      in.take(5);
      if (kind != 0) address = in.little<std::uint64_t>();
      in.require(rank >= 1 && rank <= 33, "values of ", rank, " axes");
      in.take(4 * std::uint64_t(rank));
      if (kind == 0) in.take(in.little<std::uint32_t>());
    } else {
      kind = in.little<std::uint8_t>();
      if (kind == 0) in.take(in.little<std::uint16_t>());
      if (kind == 1) in.take(16);
      if (kind == 2 && version == 3) {
        rank = in.little<std::uint8_t>(), address = in.little<std::uint64_t>();
        in.require(rank >= 2 && rank <= 33, "values of ", rank, " axes");
        in.take(4 * std::uint64_t(rank));
      }
      if (kind == 2 && version == 4) {
        int const flags = in.little<std::uint8_t>();
        rank = in.little<std::uint8_t>();
        int const bytes = in.little<std::uint8_t>();
        in.require(rank >= 2 && rank <= 33 && bytes >= 1 && bytes <= 8, "values of ", rank, " axes");
        in.take(std::uint64_t(rank) * std::uint64_t(bytes));
        int const index = in.little<std::uint8_t>();
        in.require(index == 1, "pieces of values listed in the form of new versions (libver=\"latest\"), which is not read");
        Piece p{0, whole, 0, std::vector<std::uint64_t>(std::size_t(rank - 1))};
        if (flags & 2) p.size = in.little<std::uint64_t>(), p.mask = in.little<std::uint32_t>();
        p.address = in.little<std::uint64_t>();
        if (p.address != none) piece(std::move(p));
        return;
      }
    }
    in.require(kind <= 2, "values that lie in another file, which is not opened");
    if (kind == 2 && address != none) chunks(address, rank, -1);
  }

  void piece(Piece p) {
    claim(p.address, p.size == whole ? 0 : p.size);
    pieces_[object_].push_back(std::move(p));
  }

  // The node of a tree: its level, which is one below its parent's; the number of its children is left to read.
  std::uint64_t node(Cursor& in, int type, int parent, int& level) {
    in.require(in.text(4) == "TREE" && in.little<std::uint8_t>() == type, "a tree's node that is none");
    level = in.little<std::uint8_t>();
    in.require(parent < 0 ? level < 16 : level == parent - 1, "a tree whose levels are not in order");
    std::uint64_t const count = in.little<std::uint16_t>();
    in.take(16);
    return count;
  }

  // The pieces of a dataset.
  void chunks(std::uint64_t address, int rank, int parent) {
    std::uint64_t const key = 8 + 8 * std::uint64_t(rank);
    Cursor in = claim(address, 24 + 2 * chunks_ * (key + 8) + key);
    int level = 0;
    std::uint64_t const count = node(in, 1, parent, level);
    in.require(count <= 2 * chunks_, "a tree's node with too many children");
    for (std::uint64_t i = 0; i < count; ++i) {
      Piece p;
      p.size = in.little<std::uint32_t>(), p.mask = in.little<std::uint32_t>();
      for (int a = 0; a + 1 < rank; ++a) p.first.push_back(in.little<std::uint64_t>());
      in.take(8);  // of the axis that counts the bytes of an element
      p.address = in.little<std::uint64_t>();
      if (level > 0)
        chunks(p.address, rank, level);
      else
        piece(std::move(p));
    }
  }

  void group(std::uint64_t tree, std::uint64_t heap) {
    Cursor in = claim(heap, 32);
    in.require(in.text(4) == "HEAP", "a group without names");
    in.take(4);
    std::uint64_t const size = in.little<std::uint64_t>();
    std::uint64_t free = in.little<std::uint64_t>();
    std::uint64_t const data = in.little<std::uint64_t>();
    Cursor names = claim(data, size);
    for (std::uint64_t seen = 0; free != 1; seen += 16) {
      names.require(free < size && size - free >= 16 && seen < size, "a list of free space that leads astray");
      names.seek(free);
      std::uint64_t const next = names.little<std::uint64_t>(), bytes = names.little<std::uint64_t>();
      names.require(bytes >= 16 && bytes <= size - free, "free space outside its heap");
      free = next;
    }
    members(tree, file_.sub(data, size).text(), -1);
  }
  void name(Cursor const& in, std::string_view names, std::uint64_t offset) const {
    in.require(offset < names.size() && names.substr(std::size_t(offset), 512).find('\0') != std::string_view::npos,
               "a name that lies outside its heap or does not end");
  }
  void members(std::uint64_t address, std::string_view names, int parent) {
    Cursor in = claim(address, 24 + 2 * inner_ * 16 + 8);
    int level = 0;
    std::uint64_t const count = node(in, 0, parent, level);
    in.require(count <= 2 * inner_, "a tree's node with too many children");
    for (std::uint64_t i = 0; i < count; ++i) {
      name(in, names, in.little<std::uint64_t>());
      std::uint64_t const child = in.little<std::uint64_t>();
      if (level > 0) {
        members(child, names, level);
        continue;
      }
      Cursor leaf = claim(child, 8 + 2 * leaf_ * 40);
      leaf.require(leaf.text(4) == "SNOD", "a group's list of members that is none");
      leaf.take(2);
      std::uint64_t const entries = leaf.little<std::uint16_t>();
      leaf.require(entries <= 2 * leaf_, "a group's list with too many members");
      for (std::uint64_t k = 0; k < entries; ++k) {
        name(leaf, names, leaf.little<std::uint64_t>());
        leaf.take(8);
        std::uint32_t const cached = leaf.little<std::uint32_t>();
        leaf.take(4);
        if (cached == 2) name(leaf, names, leaf.little<std::uint32_t>());  // where a link leads to
        leaf.take(cached == 2 ? 12 : 16);
      }
    }
    if (count) name(in, names, in.little<std::uint64_t>());
  }

  Bytes const& file_;
  std::uint64_t leaf_ = 4, inner_ = 16, chunks_ = 32, claimed_ = 0;
  std::uint64_t root_tree_ = none, root_heap_ = none, object_ = 0, element_ = 0;
  std::unordered_set<std::uint64_t> objects_;
  std::unordered_map<std::uint64_t, std::vector<Piece>> pieces_;
};

}  // namespace rig::inline RIG_ABI::io::detail
