#pragma once
#include <map>

#include "rig/io/npz.hpp"
#include "rig/io/torch.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {

// The common part of both kinds of persistent ids: ('storage', type, key, device, count).
struct StorageId {
  DType dtype;
  std::string_view key;
  std::int64_t count;
  bool untyped;
};
inline StorageId storage_id(Node const& id, std::size_t length) {
  auto const& x = id.items;
  check(id.kind == ValueKind::tuple && x.size() >= 1 && x[0]->kind == ValueKind::string, "torch: a persistent id is not understood");
  check(x[0]->text == "storage", "torch: a persistent id of kind '", excerpt(x[0]->text), "' is not accepted");
  check(x.size() == length && x[1]->kind == ValueKind::global &&
            (x[1]->global->id == Global::storage || x[1]->global->id == Global::untyped_storage) && x[2]->kind == ValueKind::string &&
            x[3]->kind == ValueKind::string && x[4]->kind == ValueKind::integer && x[4]->text.empty(),
        "torch: the persistent id of a storage is not understood");
  check(x[4]->integer >= 0 && x[4]->integer < (std::int64_t(1) << 40), "torch: a storage of ", x[4]->integer, " elements is not plausible");
  check(x[2]->text.size() < 100, "torch: '", excerpt(x[2]->text), "' is not the key of a storage");
  return {x[1]->global->dtype, x[2]->text, x[4]->integer, x[1]->global->id == Global::untyped_storage};
}
inline Node* make_storage(Arena& arena, StorageId const& id) {
  Node* n = arena.make(ValueKind::storage);
  Payload& p = arena.attach(n);
  p.dtype = id.dtype;
  p.count = id.count;
  p.untyped = id.untyped;
  return n;
}

struct ZipStorages : PersistentIds {
  Arena& arena;
  ZipReader const& zip;
  std::string root;
  bool swap;
  std::map<std::string, Node*, std::less<>> storages;

  ZipStorages(Arena& a, ZipReader const& z, std::string r, bool s) : arena(a), zip(z), root(std::move(r)), swap(s) {}
  Node* resolve(Node const& id) override {
    StorageId s = storage_id(id, 5);
    check(!s.key.empty() && s.key.size() < 20 && s.key.find_first_not_of("0123456789") == std::string_view::npos, "torch: '",
          excerpt(s.key), "' is not the key of a storage");
    if (auto it = storages.find(s.key); it != storages.end()) {
      Payload const& p = *it->second->payload;
      check(p.dtype == s.dtype && p.count == s.count, "torch: storage ", s.key, " is described in two ways");
      return it->second;
    }
    std::string name = root + "data/" + std::string(s.key);
    ZipReader::Entry const* e = zip.find(name);
    check(e, "torch: storage ", excerpt(name), " is missing from the archive");
    check(e->size == std::uint64_t(s.count) * size_of(s.dtype), "torch: storage ", excerpt(name), " has ", e->size, " bytes, not the ",
          std::uint64_t(s.count) * size_of(s.dtype), " of ", s.count, " elements of ", s.dtype);
    Node* n = make_storage(arena, s);
    n->payload->swap = swap;  // as the values are gathered: a swapped storage would be a second copy
    n->payload->data = zip.read(*e, arena.budget);
    n->payload->ready = true;
    storages.emplace(s.key, n);
    return n;
  }
};

struct LegacyStorages : PersistentIds {
  Arena& arena;
  std::map<std::string_view, Node*> storages;  // whole ones
  std::vector<Node*> views;
  explicit LegacyStorages(Arena& a) : arena(a) {}

  Node* resolve(Node const& id) override {
    StorageId s = storage_id(id, 6);
    auto [it, fresh] = storages.try_emplace(s.key, nullptr);
    if (fresh) it->second = make_storage(arena, s);
    Node* whole = it->second;
    check(whole->payload->dtype == s.dtype && whole->payload->count == s.count, "torch: storage ", excerpt(s.key),
          " is described in two ways");
    Node const& view = *id.items[5];
    if (view.kind == ValueKind::none) return whole;
    auto const& x = view.items;
    check(view.kind == ValueKind::tuple && x.size() == 3 && x[0]->kind == ValueKind::string && x[1]->kind == ValueKind::integer &&
              x[1]->text.empty() && x[2]->kind == ValueKind::integer && x[2]->text.empty(),
          "torch: the view of a storage is not understood");
    std::int64_t first = x[1]->integer, count = x[2]->integer;
    check(first >= 0 && count >= 0 && first <= s.count && count <= s.count - first, "torch: a view reaches beyond its storage of ", s.count,
          " elements");
    Node* n = make_storage(arena, {s.dtype, s.key, count, s.untyped});
    n->payload->first = first;
    n->payload->base = whole;
    views.push_back(n);
    return n;
  }
};

// Reads a complete stream; the tensors and storages of its object have their values afterwards.
inline Node* read_stream(Arena& arena, Bytes const& stream, int level) {
  LegacyStorages ids(arena);
  std::vector<Node*> pending;
  auto pickle = [&](std::uint64_t& at, PersistentIds* p) {
    Machine machine(arena, stream, p, level, &pending);
    machine.seek(at);
    Node* n = machine.run();
    at = machine.position();
    return n;
  };
  std::uint64_t at = 0;
  static constexpr std::string_view magic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
  Node const* number = pickle(at, nullptr);
  check(number->kind == ValueKind::integer && number->text == magic, "torch: the stream does not begin with PyTorch's magic number");
  Node const* version = pickle(at, nullptr);
  check(version->kind == ValueKind::integer && version->text.empty() && version->integer == 1001,
        "torch: the stream's version is not 1001");
  Node const* system = pickle(at, nullptr);
  bool little = false;
  check(system->kind == ValueKind::dict, "torch: the stream does not describe the machine that wrote it");
  for (std::size_t i = 0; i < system->items.size(); i += 2)
    if (system->items[i]->kind == ValueKind::string && system->items[i]->text == "little_endian")
      little = system->items[i + 1]->kind == ValueKind::boolean && system->items[i + 1]->integer == 1;
  check(little, "torch: streams written on big-endian machines are not read");
  Node* object = pickle(at, &ids);
  Node const* keys = pickle(at, nullptr);
  check(keys->kind == ValueKind::list && keys->items.size() == ids.storages.size(),
        "torch: the stream's list of storages does not match its object");

  Cursor in(stream.span(), "torch");
  in.seek(at);
  for (Node const* key : keys->items) {
    auto it = key->kind == ValueKind::string ? ids.storages.find(key->text) : ids.storages.end();
    in.require(it != ids.storages.end(), "the stream holds a storage that its object does not use");
    Payload& p = *it->second->payload;
    in.require(!p.ready, "the stream holds storage ", excerpt(key->text), " twice");
    auto count = in.little<std::int64_t>();
    in.require(count == p.count, "storage ", excerpt(key->text), " has ", count, " elements, its description says ", p.count);
    std::uint64_t size = std::uint64_t(count) * size_of(p.dtype), start = in.position();
    in.take(size);
    p.data = stream.sub(start, size);
    p.ready = true;
  }
  for (Node* v : ids.views) {
    v->payload->data = v->payload->base->payload->data;
    v->payload->ready = true;
  }
  for (Node* t : pending) fill_tensor(arena, t);
  return object;
}

RIG_INLINE Node* read_nested_stream(Arena& arena, Bytes stream, int level) {
  Node* n = read_stream(arena, stream, level);
  check(n->kind == ValueKind::storage || n->kind == ValueKind::tensor, "torch: a nested stream holds a ", name_of(n->kind),
        ", not a storage or tensor");
  return n;
}

}  // namespace detail

RIG_INLINE Value read_pickle(Bytes const& file, Limits const& limits) {
  return detail::only_errors([&] {
    auto arena = std::make_shared<detail::Arena>(file, limits);
    detail::Node* root = detail::Machine(*arena, file, nullptr, 0).run();
    return detail::finish(std::move(arena), root);
  });
}

RIG_INLINE Value read_torch_legacy(Bytes const& file, Limits const& limits) {
  return detail::only_errors([&] {
    auto arena = std::make_shared<detail::Arena>(file, limits);
    detail::Node* root = detail::read_stream(*arena, file, 0);
    return detail::finish(std::move(arena), root);
  });
}

RIG_INLINE Value read_torch_zip(Bytes const& file, Limits const& limits) {
  return detail::only_errors([&] {
    ZipReader zip(file);
    std::string root;
    bool found = false;
    for (auto const& e : zip.entries()) {
      std::size_t slash = e.name.find('/');
      if (slash == std::string::npos || slash == 0 || e.name.substr(slash) != "/data.pkl") continue;
      check(!found, "torch: the archive has two entries data.pkl");
      root = e.name.substr(0, slash + 1);
      found = true;
    }
    check(found, "torch: the archive has no entry data.pkl");
    auto arena = std::make_shared<detail::Arena>(file, limits);
    bool swap = false;
    if (auto const* order = zip.find(root + "byteorder")) {
      check(order->size < 16, "torch: the archive's byte order is not understood");
      std::string text(zip.read(*order, arena->budget).text());
      check(text == "little" || text == "big", "torch: the archive's byte order '", excerpt(text), "' is not understood");
      swap = text == "big";
    }
    Bytes program = zip.read(*zip.find(root + "data.pkl"), arena->budget);
    arena->memory->program = program;
    detail::ZipStorages ids(*arena, zip, root, swap);
    detail::Node* object = detail::Machine(*arena, program, &ids, 0).run();
    for (auto& [key, storage] : ids.storages) storage->payload->data = {};  // tensors that lie in it keep it
    return detail::finish(std::move(arena), object);
  });
}

}  // namespace rig::inline RIG_ABI::io
