#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <deque>
#include <numeric>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "rig/io/npz.hpp"
#include "rig/io/pickle.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {

// The only names a pickle may mention. What each may be used for is decided where it is used.
enum class Global : std::uint8_t {
  ordered_dict,
  set,
  frozenset,
  bytes,
  bytearray,
  encode,
  np_dtype,
  np_ndarray,
  np_reconstruct,
  np_scalar,
  np_frombuffer,
  rebuild_tensor,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  rebuild_parameter_with_state,
  rebuild_from_type,
  load_from_bytes,
  storage,
  untyped_storage,
  torch_type,
  torch_tensor,
  torch_size,
  persistent_object,
  easy_dict,
  network,
  name_space,
  reconstructor,
  object,
  dict,
};
struct GlobalName {
  std::string_view module, name;
  Global id;
  DType dtype = DType::f32;
  bool text_only = false;  // protocols 0 and 1 make objects with these; later ones have an opcode for it
};
inline constexpr GlobalName global_names[] = {
    {"collections", "OrderedDict", Global::ordered_dict},
    {"builtins", "set", Global::set},
    {"builtins", "frozenset", Global::frozenset},
    {"builtins", "bytes", Global::bytes},
    {"builtins", "bytearray", Global::bytearray},
    {"__builtin__", "set", Global::set},
    {"__builtin__", "frozenset", Global::frozenset},
    {"__builtin__", "bytes", Global::bytes},
    {"__builtin__", "bytearray", Global::bytearray},
    {"_codecs", "encode", Global::encode},
    {"numpy", "dtype", Global::np_dtype},
    {"numpy", "ndarray", Global::np_ndarray},
    {"numpy.core.multiarray", "_reconstruct", Global::np_reconstruct},
    {"numpy._core.multiarray", "_reconstruct", Global::np_reconstruct},
    {"numpy.core.multiarray", "scalar", Global::np_scalar},
    {"numpy._core.multiarray", "scalar", Global::np_scalar},
    {"numpy.core.numeric", "_frombuffer", Global::np_frombuffer},
    {"numpy._core.numeric", "_frombuffer", Global::np_frombuffer},
    {"torch._utils", "_rebuild_tensor", Global::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", Global::rebuild_tensor_v2},
    {"torch._utils", "_rebuild_tensor_v3", Global::rebuild_tensor_v3},
    {"torch._utils", "_rebuild_parameter", Global::rebuild_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", Global::rebuild_parameter_with_state},
    {"torch._tensor", "_rebuild_from_type_v2", Global::rebuild_from_type},
    {"torch._tensor", "_rebuild_from_type", Global::rebuild_from_type},
    {"torch.tensor", "_rebuild_from_type", Global::rebuild_from_type},
    {"torch", "Tensor", Global::torch_tensor},
    {"torch.nn.parameter", "Parameter", Global::torch_tensor},
    {"torch.storage", "_load_from_bytes", Global::load_from_bytes},
    {"torch", "DoubleStorage", Global::storage, DType::f64},
    {"torch", "FloatStorage", Global::storage, DType::f32},
    {"torch", "HalfStorage", Global::storage, DType::f16},
    {"torch", "BFloat16Storage", Global::storage, DType::bf16},
    {"torch", "LongStorage", Global::storage, DType::i64},
    {"torch", "IntStorage", Global::storage, DType::i32},
    {"torch", "ShortStorage", Global::storage, DType::i16},
    {"torch", "CharStorage", Global::storage, DType::i8},
    {"torch", "ByteStorage", Global::storage, DType::u8},
    {"torch", "BoolStorage", Global::storage, DType::boolean},
    {"torch.storage", "UntypedStorage", Global::untyped_storage, DType::u8},
    {"torch", "UntypedStorage", Global::untyped_storage, DType::u8},
    {"torch", "float64", Global::torch_type, DType::f64},
    {"torch", "float32", Global::torch_type, DType::f32},
    {"torch", "float16", Global::torch_type, DType::f16},
    {"torch", "bfloat16", Global::torch_type, DType::bf16},
    {"torch", "int64", Global::torch_type, DType::i64},
    {"torch", "int32", Global::torch_type, DType::i32},
    {"torch", "int16", Global::torch_type, DType::i16},
    {"torch", "int8", Global::torch_type, DType::i8},
    {"torch", "uint64", Global::torch_type, DType::u64},
    {"torch", "uint32", Global::torch_type, DType::u32},
    {"torch", "uint16", Global::torch_type, DType::u16},
    {"torch", "uint8", Global::torch_type, DType::u8},
    {"torch", "bool", Global::torch_type, DType::boolean},
    {"torch", "Size", Global::torch_size},
    {"torch_utils.persistence", "_reconstruct_persistent_obj", Global::persistent_object},
    {"dnnlib.util", "EasyDict", Global::easy_dict},
    {"dnnlib", "EasyDict", Global::easy_dict},
    {"dnnlib.tflib.network", "Network", Global::network},
    {"argparse", "Namespace", Global::name_space},
    {"copy_reg", "_reconstructor", Global::reconstructor, DType::f32, true},
    {"copyreg", "_reconstructor", Global::reconstructor, DType::f32, true},
    {"__builtin__", "object", Global::object, DType::f32, true},
    {"__builtin__", "dict", Global::dict, DType::f32, true},
    {"builtins", "object", Global::object, DType::f32, true},
    {"builtins", "dict", Global::dict, DType::f32, true},
};

// What tensors, storages and element types carry beyond a plain node.
struct Payload {
  AnyTensor tensor;
  bool ready = false;  // the tensor has its values, the storage its bytes
  // storage: `count` elements from `first` of `data`; tensor not yet ready: a view of a storage.
  Bytes data;
  std::int64_t first = 0, count = 0;
  Node* base = nullptr;
  Shape shape;
  std::vector<std::int64_t> stride;
  std::int64_t offset = 0;
  DType dtype = DType::f32;
  bool swap = false;
  bool untyped = false;  // storage: bytes, to be taken for elements of any type
};

struct Node {
  ValueKind kind = ValueKind::none;
  enum class Flavour : std::uint8_t { plain, eight_bit, ordered_dict, easy_dict, persistent, network, name_space } flavour = Flavour::plain;
  bool hashable = true;
  std::uint16_t depth = 0;
  std::uint32_t mark = 0;  // scratch for traversals during decoding
  union {
    std::int64_t integer = 0;
    double real;
    std::vector<std::uint32_t> const* index;  // dict, once complete: entries with string keys in their order, or null for small ones
  };
  std::string_view text;     // string, bytes, class name; digits of an integer beyond 64 bits
  std::vector<Node*> items;  // list, tuple, set; dict: key, value, key, value; object: its state
  std::unique_ptr<Payload> payload;
  GlobalName const* global = nullptr;
};

// All nodes of one file, and the memory their texts point into. The memory is a separate object because tensors keep
// it alive, and the arena keeps tensors: one object would own itself.
struct Arena {
  struct Memory {
    Bytes file;
    Bytes program;  // data.pkl of an archive, when it was inflated
    std::deque<std::string> texts;
  };
  std::deque<Node> nodes;
  std::deque<std::vector<std::uint32_t>> indices;
  std::shared_ptr<Memory> memory = std::make_shared<Memory>();
  Budget budget;
  std::uint64_t work;  // steps that may still be taken: sharing lets a small file ask for a lot
  int nesting;
  int streams;
  std::array<Node*, 256> small{};
  Node *none, *yes, *no;

  Arena(Bytes file, Limits const& limits)
      : budget(limits, file.size),
        work(32 * std::min<std::uint64_t>(file.size, std::uint64_t(1) << 50) + (1u << 22)),
        nesting(std::min(limits.nesting, 60000)),
        streams(limits.streams) {
    memory->file = std::move(file);
    none = make(ValueKind::none);
    yes = make(ValueKind::boolean);
    yes->integer = 1;
    no = make(ValueKind::boolean);
  }
  Node* make(ValueKind kind) {
    budget.charge(sizeof(Node));
    nodes.emplace_back();
    nodes.back().kind = kind;
    if (kind == ValueKind::dict) nodes.back().index = nullptr;
    return &nodes.back();
  }
  void spend(std::uint64_t steps) {
    check(steps <= work, "the file asks for far more work than its size explains");
    work -= steps;
  }
  Node* make_integer(std::int64_t v) {
    Node** slot = v >= 0 && v < 256 ? &small[std::size_t(v)] : nullptr;
    if (slot && *slot) return *slot;
    Node* n = make(ValueKind::integer);
    n->integer = v;
    if (slot) *slot = n;
    return n;
  }
  Node* make_text(ValueKind kind, std::string_view text) {
    Node* n = make(kind);
    n->text = text;
    return n;
  }
  std::string_view keep(std::string text) {
    budget.charge(text.size() + sizeof(std::string));
    memory->texts.push_back(std::move(text));
    return memory->texts.back();
  }
  Payload& attach(Node* n) {
    budget.charge(2 * sizeof(Payload));
    n->payload = std::make_unique<Payload>();
    n->hashable = false;
    return *n->payload;
  }
  /// The content of a bytes node, keeping its memory alive: the file itself where possible.
  Bytes bytes_of(Node const* n) const {
    auto const first = reinterpret_cast<std::byte const*>(n->text.data());
    Bytes const& file = memory->file;
    bool const within = !std::less<>()(first, file.data) && !std::less<>()(file.data + file.size, first + n->text.size());
    return {first, n->text.size(), within ? file.owner : memory};
  }
};

// Where persistent ids lead: the storages of a PyTorch archive or stream.
struct PersistentIds {
  virtual ~PersistentIds() = default;
  virtual Node* resolve(Node const& id) = 0;
};

// Fills a tensor node whose storage has its bytes.
inline void fill_tensor(Arena& arena, Node* n) {
  Payload& p = *n->payload;
  Payload const& s = *p.base->payload;
  check(s.ready, "a tensor's storage has no data");
  std::uint64_t element = size_of(p.dtype), stored = size_of(s.dtype);
  std::uint64_t bytes = std::uint64_t(p.shape.size()) * element;
  bool dense = true;
  std::int64_t expected = 1;
  for (int a = p.shape.rank() - 1; a >= 0 && bytes > 0; --a) {  // extents of an empty tensor may be of any size
    if (p.shape[a] != 1 && p.stride[std::size_t(a)] != expected) dense = false;
    expected *= p.shape[a];
  }
  Bytes storage = s.data.sub(std::uint64_t(s.first) * stored, std::uint64_t(s.count) * stored);
  Bytes values;
  if (bytes > 0 && dense) {
    values = storage.sub(std::uint64_t(p.offset) * element, bytes);
    if (s.swap && element > 1) values = swapped(values, element, arena.budget);
  } else if (bytes > 0) {
    values = gather(storage, element, p.shape, p.stride, p.offset, s.swap, arena.budget);
  }
  if (p.dtype == DType::boolean) {
    arena.spend(bytes / 64);
    values = booleans(values, arena.budget);
  }
  p.tensor = AnyTensor(p.dtype, p.shape, std::move(values));
  p.ready = true;
}

Node* read_nested_stream(Arena& arena, Bytes stream, int level);  // torch.ipp

class Machine {
 public:
  static constexpr std::int64_t persistent_version = 6;

  /// `level`: how many streams this one lies within. `pending` receives tensors whose storage has no data yet.
  Machine(Arena& arena, Bytes source, PersistentIds* ids, int level, std::vector<Node*>* pending = nullptr)
      : a_(arena),
        source_(std::move(source)),
        in_(source_.span(), level ? "nested pickle" : "pickle"),
        ids_(ids),
        level_(level),
        pending_(pending) {}

  std::uint64_t position() const { return in_.position(); }
  void seek(std::uint64_t p) { in_.seek(p); }
  Cursor& cursor() { return in_; }

  /// Runs one pickle, from PROTO to STOP. Protocols 0 and 1, without PROTO, only where nothing else encloses them.
  Node* run() {
    stack_.clear();
    marks_.clear();
    memo_.clear();
    unbuilt_ = 0;
    need(in_.remaining() >= 2, "a pickle of ", in_.remaining(), " bytes: the file is truncated");
    bool const outermost = !ids_ && level_ == 0 && !pending_;
    bool const headed = source_.data[in_.position()] == std::byte(0x80);
    need(headed || outermost, "a pickle begins with its protocol (80 02 to 80 05)");
    int protocol = 0;  // the first two do not announce themselves
    if (headed) {
      byte();
      protocol = int(byte());
      need(protocol <= 5 && (protocol >= 2 || outermost), "pickle protocol ", protocol, " is not read, only ", outermost ? 0 : 2, " to 5");
    }
    text_ = protocol < 2;
    for (;;) {
      need(in_.remaining() > 0, "the pickle ends without STOP: the file is truncated");
      a_.spend(1);
      unsigned op = byte();
      if (op == '.') break;
      step(op);
    }
    Node* result = pop();
    need(stack_.empty() && marks_.empty(), "values are left on the stack at the end");
    need(unbuilt_ == 0, "an array was never given its content");
    return result;
  }

 private:
  template <class... P> void need(bool ok, P const&... parts) const { in_.require(ok, parts...); }
  template <class... P> [[noreturn]] void fail(P const&... parts) const { in_.fail(parts...); }
  unsigned byte() { return in_.little<std::uint8_t>(); }

  // --- stack -------------------------------------------------------------------------------------------------------
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  void push(Node* n) { stack_.push_back(n); }
  Node* top() const {
    need(stack_.size() > floor(), "the stack is empty");
    return stack_.back();
  }
  Node* pop() {
    Node* n = top();
    stack_.pop_back();
    return n;
  }
  std::vector<Node*> pop_to_mark() {
    need(!marks_.empty(), "there is no mark on the stack");
    std::vector<Node*> items(stack_.begin() + std::ptrdiff_t(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  // --- building ----------------------------------------------------------------------------------------------------
  void contain(Node* box, Node* item) {
    need(item->depth < a_.nesting, "values are nested more than ", a_.nesting, " deep");
    box->depth = std::max<std::uint16_t>(box->depth, std::uint16_t(item->depth + 1));
    a_.budget.charge(2 * sizeof(Node*));
    box->items.push_back(item);
  }
  Node* make_tuple(std::vector<Node*> const& items) {
    Node* t = a_.make(ValueKind::tuple);
    t->items.reserve(items.size());
    for (Node* i : items) {
      contain(t, i);
      t->hashable = t->hashable && i->hashable;
    }
    return t;
  }
  Node* make_tuple_of_top(std::size_t n) {
    need(stack_.size() - floor() >= n, "the stack holds fewer than ", n, " values");
    std::vector<Node*> items(stack_.end() - std::ptrdiff_t(n), stack_.end());
    stack_.resize(stack_.size() - n);
    return make_tuple(items);
  }
  Node* make_box(ValueKind kind, Node::Flavour flavour = Node::Flavour::plain) {
    Node* n = a_.make(kind);
    n->hashable = false;
    n->flavour = flavour;
    return n;
  }
  void set_item(Node* dict, Node* key, Node* value) {
    need(dict->kind == ValueKind::dict, "an entry is set in a ", name_of(dict->kind));
    need(key->hashable, "a ", name_of(key->kind), " cannot be the key of a dict");
    contain(dict, key);
    contain(dict, value);
  }
  void set_items(Node* dict, std::vector<Node*> const& items) {
    need(items.size() % 2 == 0, "a key without a value");
    for (std::size_t i = 0; i < items.size(); i += 2) set_item(dict, items[i], items[i + 1]);
  }
  Node* string(std::string_view s) {
    a_.spend(s.size() / 16);
    need(is_utf8(s), "a string is not valid UTF-8");
    return a_.make_text(ValueKind::string, s);
  }
  Node* latin1(std::string_view s) {
    a_.spend(s.size() / 16);
    Node* n = a_.make(ValueKind::string);
    n->flavour = Node::Flavour::eight_bit;
    n->text = s;
    if (std::all_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return n;
    std::string out;
    out.reserve(2 * s.size());
    for (char ch : s) {
      auto c = static_cast<unsigned char>(ch);
      if (c >= 0x80) out += char(0xC0 | c >> 6);
      out += c < 0x80 ? ch : char(0x80 | (c & 63));
    }
    n->text = a_.keep(std::move(out));
    return n;
  }
  Node* long_integer(std::uint64_t n) {
    need(n <= 1024, "an integer of ", n, " bytes is not plausible");
    std::string_view digits = in_.text(n);
    if (n > 8) {
      // Longer than needed is legal: sign extension is dropped.
      std::size_t most = digits.size();
      while (most > 8) {
        unsigned char extra = static_cast<unsigned char>(digits[most - 1]), next = static_cast<unsigned char>(digits[most - 2]);
        if (!((extra == 0 && next < 0x80) || (extra == 0xFF && next >= 0x80))) break;
        --most;
      }
      digits = digits.substr(0, most);
      if (most > 8) return a_.make_text(ValueKind::integer, digits);
    }
    std::uint64_t v = !digits.empty() && static_cast<unsigned char>(digits.back()) >= 0x80 ? ~std::uint64_t(0) : 0;
    if (!digits.empty()) std::memcpy(&v, digits.data(), digits.size());
    return a_.make_integer(std::int64_t(v));
  }
  void memoize(std::uint32_t index) {
    need(index < (1u << 28), "memo index ", index, " is not plausible");
    a_.budget.charge(64);
    memo_[index] = top();
  }
  void recall(std::uint32_t index) {
    auto it = memo_.find(index);
    need(it != memo_.end(), "memo entry ", index, " was never written");
    push(it->second);
  }
  void global(std::string_view module, std::string_view name) {
    need(is_utf8(module) && is_utf8(name), "the name of a global is not valid UTF-8");
    for (auto const& g : global_names) {
      if (g.name != name || g.module != module || (g.text_only && !text_)) continue;
      Node* n = a_.make(ValueKind::global);
      n->global = &g;
      push(n);
      return;
    }
    fail("the file asks for ", excerpt(module, 60), ".", excerpt(name, 60), ", which is not among the names this reader accepts");
  }
  std::string_view line() {
    std::string_view rest = source_.text().substr(std::size_t(in_.position()), 512);
    std::size_t end = rest.find('\n');
    need(end != std::string_view::npos, "the name of a global does not end");
    in_.take(end + 1);
    return rest.substr(0, end);
  }

  std::string_view text_line() {
    std::string_view rest = source_.text().substr(std::size_t(in_.position()));
    std::size_t end = rest.find('\n');
    need(end != std::string_view::npos, "a line of text does not end");
    a_.spend(end / 16);
    in_.take(end + 1);
    rest = rest.substr(0, end);
    return !rest.empty() && rest.back() == '\r' ? rest.substr(0, end - 1) : rest;
  }
  std::int64_t decimal(std::string_view s) const {
    std::int64_t v = 0;
    auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
    need(!s.empty() && error == std::errc() && end == s.data() + s.size(), "'", excerpt(s), "' is not an integer of at most 64 bits");
    return v;
  }
  // In decimal, of any size; beyond 64 bits it is kept as long_integer keeps it.
  Node* decimal_integer(std::string_view s) {
    std::int64_t v = 0;
    bool const negative = s.starts_with('-');
    std::string_view const digits = s.substr(negative);
    bool const whole = !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!whole || std::from_chars(s.data(), s.data() + s.size(), v).ec == std::errc()) return a_.make_integer(decimal(s));
    need(digits.size() <= 256, "an integer of ", digits.size(), " digits is not plausible");
    std::vector<unsigned> bytes;  // the size of the number, then its two's complement, the lowest byte first
    for (char c : digits) {
      unsigned carry = unsigned(c - '0');
      for (unsigned& b : bytes) carry += 10 * b, b = carry & 0xFF, carry >>= 8;
      if (carry) bytes.push_back(carry);
    }
    bytes.push_back(0);
    unsigned carry = 1;
    std::string text;
    for (unsigned b : bytes) {
      if (negative) b = (~b & 0xFF) + carry, carry = b >> 8;
      text += char(b & 0xFF);
    }
    // The last byte was only added for the sign.
    auto const high = [&](std::size_t back) { return static_cast<unsigned char>(text[text.size() - back]) >= 0x80; };
    if (high(1) == high(2)) text.pop_back();
    return a_.make_text(ValueKind::integer, a_.keep(std::move(text)));
  }
  std::uint32_t text_index() {
    std::int64_t const v = decimal(text_line());
    need(v >= 0 && v < (1 << 28), "memo index ", v, " is not plausible");
    return std::uint32_t(v);
  }
  std::uint32_t hexadecimal(std::string_view s, std::size_t& at, std::size_t digits) const {
    std::uint32_t v = 0;
    bool const whole = s.size() - at >= digits;
    auto [end, error] = whole ? std::from_chars(s.data() + at, s.data() + at + digits, v, 16) : std::from_chars_result{s.data(), {}};
    need(whole && error == std::errc() && end == s.data() + at + digits, "an escape in a string is not complete");
    at += digits;
    return v;
  }
  // 'text' with the escapes of Python's repr.
  Node* quoted(std::string_view s) {
    need(s.size() >= 2 && (s[0] == '\'' || s[0] == '"') && s.back() == s[0], "a string without its quotes");
    s = s.substr(1, s.size() - 2);
    if (s.find('\\') == std::string_view::npos) return latin1(s);
    std::string out;
    for (std::size_t i = 0; i < s.size();) {
      char c = s[i++];
      if (c == '\\') {
        need(i < s.size(), "an escape in a string is not complete");
        c = s[i++];
        static constexpr std::string_view from = "nrtabfv0\\'\"", to("\n\r\t\a\b\f\v\0\\'\"", 11);
        if (c == 'x') {
          c = char(hexadecimal(s, i, 2));
        } else {
          need(from.find(c) != std::string_view::npos, "an escape in a string is not understood");
          c = to[from.find(c)];
        }
      }
      out += c;
    }
    return latin1(a_.keep(std::move(out)));
  }
  // Latin-1 with \uXXXX and \UXXXXXXXX.
  Node* raw_unicode(std::string_view s) {
    std::string out;
    for (std::size_t i = 0; i < s.size();) {
      std::uint32_t u = static_cast<unsigned char>(s[i++]);
      if (u == '\\' && i < s.size() && (s[i] == 'u' || s[i] == 'U')) {
        std::size_t const digits = s[i++] == 'u' ? 4 : 8;
        u = hexadecimal(s, i, digits);
      }
      need(u < 0x110000 && (u < 0xD800 || u > 0xDFFF), "a string holds no valid character at an escape");
      append_utf8(out, u);
    }
    return a_.make_text(ValueKind::string, a_.keep(std::move(out)));
  }
  bool text_step(unsigned op) {
    switch (op) {
      case 'I': {
        std::string_view const s = text_line();
        push(s == "00" ? a_.no : s == "01" ? a_.yes : decimal_integer(s));
        return true;
      }
      case 'L': {
        std::string_view s = text_line();
        if (!s.empty() && s.back() == 'L') s.remove_suffix(1);
        push(decimal_integer(s));
        return true;
      }
      case 'F': {
        std::string_view const s = text_line();
        Node* n = a_.make(ValueKind::real);
        auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n->real);
        need(!s.empty() && error == std::errc() && end == s.data() + s.size(), "'", excerpt(s), "' is not a number");
        push(n);
        return true;
      }
      case 'S': push(quoted(text_line())); return true;
      case 'V': push(raw_unicode(text_line())); return true;
      case 'p': memoize(text_index()); return true;
      case 'g': recall(text_index()); return true;
      default: return false;
    }
  }

  // --- opcodes -----------------------------------------------------------------------------------------------------
  void step(unsigned op) {
    if (text_ && text_step(op)) return;
    switch (op) {
      case 0x95: {
        auto n = in_.little<std::uint64_t>();
        need(n <= in_.remaining(), "a frame of ", n, " bytes is announced but only ", in_.remaining(), " are left");
        break;
      }
      case '(':
        need(marks_.size() < std::size_t(a_.nesting), "marks are nested more than ", a_.nesting, " deep");
        marks_.push_back(stack_.size());
        break;
      case '0':
        if (stack_.size() == floor() && !marks_.empty())
          marks_.pop_back();
        else
          pop();
        break;
      case '1': pop_to_mark(); break;
      case '2': push(top()); break;
      case 'N': push(a_.none); break;
      case 0x88: push(a_.yes); break;
      case 0x89: push(a_.no); break;
      case 'K': push(a_.make_integer(byte())); break;
      case 'M': push(a_.make_integer(in_.little<std::uint16_t>())); break;
      case 'J': push(a_.make_integer(in_.little<std::int32_t>())); break;
      case 0x8A: push(long_integer(byte())); break;
      case 0x8B: {
        auto n = in_.little<std::int32_t>();
        need(n >= 0, "an integer of negative length");
        push(long_integer(std::uint64_t(n)));
        break;
      }
      case 'G': {
        Node* n = a_.make(ValueKind::real);
        n->real = in_.big<double>();
        push(n);
        break;
      }
      case 'X': push(string(in_.text(in_.little<std::uint32_t>()))); break;
      case 0x8C: push(string(in_.text(byte()))); break;
      case 0x8D: push(string(in_.text(in_.little<std::uint64_t>()))); break;
      case 'U': push(latin1(in_.text(byte()))); break;
      case 'T': {
        auto n = in_.little<std::int32_t>();
        need(n >= 0, "a string of negative length");
        push(latin1(in_.text(std::uint64_t(n))));
        break;
      }
      case 'C': push(a_.make_text(ValueKind::bytes, in_.text(byte()))); break;
      case 'B': push(a_.make_text(ValueKind::bytes, in_.text(in_.little<std::uint32_t>()))); break;
      case 0x8E:
      case 0x96: push(a_.make_text(ValueKind::bytes, in_.text(in_.little<std::uint64_t>()))); break;
      case ')': push(make_tuple({})); break;
      case 't': push(make_tuple(pop_to_mark())); break;
      case 0x85: push(make_tuple_of_top(1)); break;
      case 0x86: push(make_tuple_of_top(2)); break;
      case 0x87: push(make_tuple_of_top(3)); break;
      case ']': push(make_box(ValueKind::list)); break;
      case 'l': {
        auto items = pop_to_mark();
        Node* list = make_box(ValueKind::list);
        for (Node* i : items) contain(list, i);
        push(list);
        break;
      }
      case 'a': {
        Node* item = pop();
        need(top()->kind == ValueKind::list, "an item is appended to a ", name_of(top()->kind));
        contain(top(), item);
        break;
      }
      case 'e': {
        auto items = pop_to_mark();
        need(top()->kind == ValueKind::list, "items are appended to a ", name_of(top()->kind));
        for (Node* i : items) contain(top(), i);
        break;
      }
      case '}': push(make_box(ValueKind::dict)); break;
      case 'd': {
        auto items = pop_to_mark();
        Node* dict = make_box(ValueKind::dict);
        set_items(dict, items);
        push(dict);
        break;
      }
      case 's': {
        Node* value = pop();
        Node* key = pop();
        set_item(top(), key, value);
        break;
      }
      case 'u': {
        auto items = pop_to_mark();
        need(top()->kind == ValueKind::dict, "entries are set in a ", name_of(top()->kind));
        set_items(top(), items);
        break;
      }
      case 0x8F: push(make_box(ValueKind::set)); break;
      case 0x90: {
        auto items = pop_to_mark();
        need(top()->kind == ValueKind::set && !top()->hashable, "items are added to a ", name_of(top()->kind));
        add_to_set(top(), items);
        break;
      }
      case 0x91: {
        auto items = pop_to_mark();
        Node* set = make_box(ValueKind::set);
        add_to_set(set, items);
        set->hashable = true;
        push(set);
        break;
      }
      case 'q': memoize(byte()); break;
      case 'r': memoize(in_.little<std::uint32_t>()); break;
      case 0x94: memoize(std::uint32_t(std::min<std::size_t>(memo_.size(), 1u << 28))); break;
      case 'h': recall(byte()); break;
      case 'j': recall(in_.little<std::uint32_t>()); break;
      case 'c': {
        auto module = line();
        auto name = line();
        global(module, name);
        break;
      }
      case 0x93: {
        Node *name = pop(), *module = pop();
        need(name->kind == ValueKind::string && module->kind == ValueKind::string, "the name of a global is not a string");
        global(module->text, name->text);
        break;
      }
      case 'R': {
        Node* arguments = pop();
        push(reduce(pop(), arguments));
        break;
      }
      case 0x81: {
        Node* arguments = pop();
        push(new_object(pop(), arguments));
        break;
      }
      case 'b': {
        Node* state = pop();
        build(top(), state);
        break;
      }
      case 'Q': {
        Node* id = pop();
        need(ids_ != nullptr, "a persistent id outside of a PyTorch archive");
        push(ids_->resolve(*id));
        break;
      }
      case 0x80: fail("the protocol is given twice");
      default: fail("opcode 0x", "0123456789abcdef"[op >> 4], "0123456789abcdef"[op & 15], " is not accepted");
    }
  }
  void add_to_set(Node* set, std::vector<Node*> const& items) {
    for (Node* i : items) {
      need(i->hashable, "a ", name_of(i->kind), " cannot be an item of a set");
      contain(set, i);
    }
  }

  // --- arguments ---------------------------------------------------------------------------------------------------
  bool is_latin1_name(Node const* n) const { return n->kind == ValueKind::string && (n->text == "latin1" || n->text == "latin-1"); }
  bool is_global(Node const* n, Global id) const { return n->kind == ValueKind::global && n->global->id == id; }
  // bool is accepted where old files wrote 0 and 1.
  bool is_flag(Node const* n, bool value) const {
    return (n->kind == ValueKind::boolean || n->kind == ValueKind::integer) && n->text.empty() && n->integer == std::int64_t(value);
  }
  std::int64_t count(Node const* n, char const* what) const {
    need(n->kind == ValueKind::integer && n->text.empty() && n->integer >= 0 && n->integer < (std::int64_t(1) << 40), what,
         " must be a non-negative integer below 2^40");
    return n->integer;
  }
  std::vector<std::int64_t> counts(Node const* n, char const* what) const {
    need(n->kind == ValueKind::tuple && n->items.size() <= std::size_t(Shape::max_rank), what, " must be a tuple of at most ",
         Shape::max_rank, " integers");
    std::vector<std::int64_t> v;
    for (Node const* i : n->items) v.push_back(count(i, what));
    return v;
  }
  Shape shape(Node const* n) const {
    auto v = counts(n, "a shape");
    Shape s;
    try {
      s = Shape(v.begin(), v.end());
    } catch (Error const& e) {
      fail(e.what());
    }
    need(s.size() < (std::int64_t(1) << 40), "a tensor of shape ", s, " is too large");
    return s;
  }
  Node* tensor(AnyTensor t) {
    Node* n = a_.make(ValueKind::tensor);
    Payload& p = a_.attach(n);
    p.tensor = std::move(t);
    p.ready = true;
    return n;
  }
  Bytes latin1_bytes(Node const* text) {
    std::string out;
    a_.spend(text->text.size() / 16);
    out.reserve(text->text.size());
    Bytes const stored = a_.bytes_of(text);
    ReadOnce read(stored);
    for (std::size_t i = 0; i < text->text.size(); ++i) {
      read.upto(i);
      auto c = static_cast<unsigned char>(text->text[i]);
      if (c < 0x80) {
        out += char(c);
        continue;
      }
      need(c == 0xC2 || c == 0xC3, "a string with characters beyond Latin-1 is encoded as bytes");
      out += char((c & 3) << 6 | (text->text[++i] & 63));  // well-formed: string() checked it
    }
    std::string_view kept = a_.keep(std::move(out));
    return {reinterpret_cast<std::byte const*>(kept.data()), kept.size(), nullptr};
  }

  // --- calls, all of them pretended --------------------------------------------------------------------------------
  static bool rebuilds(Global id) {
    return id == Global::rebuild_tensor || id == Global::rebuild_tensor_v2 || id == Global::rebuild_tensor_v3 ||
           id == Global::rebuild_parameter || id == Global::rebuild_parameter_with_state;
  }
  Node* reduce(Node* callable, Node* arguments) {
    need(callable->kind == ValueKind::global, "a ", name_of(callable->kind), " is called");
    need(arguments->kind == ValueKind::tuple, "a call with a ", name_of(arguments->kind), " of arguments");
    auto const& x = arguments->items;
    auto wrong = [&]() {
      fail(callable->global->module, ".", callable->global->name, " is called with arguments this reader does not accept");
    };
    auto kind = [&](std::size_t i, ValueKind k) { return x[i]->kind == k; };
    switch (callable->global->id) {
      case Global::ordered_dict: {
        Node* d = make_box(ValueKind::dict, Node::Flavour::ordered_dict);
        if (x.empty()) return d;
        if (x.size() != 1 || !kind(0, ValueKind::list)) wrong();
        a_.spend(2 * x[0]->items.size());
        for (Node* pair : x[0]->items) {
          if ((pair->kind != ValueKind::tuple && pair->kind != ValueKind::list) || pair->items.size() != 2) wrong();
          set_item(d, pair->items[0], pair->items[1]);
        }
        return d;
      }
      case Global::set:
      case Global::frozenset: {
        if (x.size() != 1 || !kind(0, ValueKind::list)) wrong();
        Node* s = make_box(ValueKind::set);
        add_to_set(s, x[0]->items);
        s->hashable = callable->global->id == Global::frozenset;
        return s;
      }
      case Global::bytes:
      case Global::bytearray:
        if (x.empty()) return a_.make_text(ValueKind::bytes, {});
        if (x.size() == 1 && kind(0, ValueKind::bytes)) return a_.make_text(ValueKind::bytes, x[0]->text);
        if (x.size() != 2 || !kind(0, ValueKind::string) || !is_latin1_name(x[1])) wrong();
        return a_.make_text(ValueKind::bytes, latin1_bytes(x[0]).text());
      case Global::encode:
        if (x.size() != 2 || !kind(0, ValueKind::string) || !is_latin1_name(x[1])) wrong();
        return a_.make_text(ValueKind::bytes, latin1_bytes(x[0]).text());
      case Global::np_dtype: {
        if (x.size() != 3 || !kind(0, ValueKind::string) || !is_flag(x[1], false) || !is_flag(x[2], true)) wrong();
        NumpyType type;
        need(parse_numpy_type(x[0]->text, type), "NumPy elements of type '", excerpt(x[0]->text), "' are not read");
        Node* n = a_.make(ValueKind::dtype);
        Payload& p = a_.attach(n);
        p.dtype = type.dtype;
        p.swap = type.swap;
        return n;
      }
      case Global::np_reconstruct: {
        if (x.size() != 3 || !is_global(x[0], Global::np_ndarray) || !kind(1, ValueKind::tuple) || x[1]->items.size() != 1 ||
            !is_flag(x[1]->items[0], false) || !(kind(2, ValueKind::bytes) || kind(2, ValueKind::string)) || x[2]->text != "b")
          wrong();
        Node* n = a_.make(ValueKind::tensor);
        a_.attach(n);
        ++unbuilt_;
        return n;
      }
      case Global::np_scalar:
        if (x.size() != 2 || !kind(0, ValueKind::dtype) || !is_content(x[1])) wrong();
        return tensor(array(x[0], Shape{}, false, x[1]));
      case Global::np_frombuffer:
        if (x.size() != 4 || !kind(0, ValueKind::bytes) || !kind(1, ValueKind::dtype) || !kind(3, ValueKind::string) ||
            (x[3]->text != "C" && x[3]->text != "F"))
          wrong();
        return tensor(array(x[1], shape(x[2]), x[3]->text == "F", x[0]));
      case Global::rebuild_tensor:
        if (x.size() != 4) wrong();
        return rebuild(x[0], x[1], x[2], x[3]);
      case Global::rebuild_tensor_v2:
        if (x.size() != 6 && x.size() != 7) wrong();
        if (x.size() == 7) expect_plain_values(x[6]);
        return rebuild(x[0], x[1], x[2], x[3]);
      case Global::rebuild_tensor_v3:
        if ((x.size() != 7 && x.size() != 8) || !is_global(x[6], Global::torch_type)) wrong();
        if (x.size() == 8) expect_plain_values(x[7]);
        return rebuild(x[0], x[1], x[2], x[3], x[6]->global);
      case Global::rebuild_from_type:
        // (function, type, its arguments, attributes): the type is Tensor or Parameter, the function one of those here.
        if (x.size() != 4 || !kind(0, ValueKind::global) || !rebuilds(x[0]->global->id) || !is_global(x[1], Global::torch_tensor)) wrong();
        return reduce(x[0], x[2]);
      case Global::reconstructor: {
        // (class, base, state): object with None, dict with a dict. Entries of the latter follow in BUILD or SETITEMS.
        if (x.size() != 3 || !kind(0, ValueKind::global)) wrong();
        bool const as_dict = is_global(x[1], Global::dict);
        if (as_dict ? !kind(2, ValueKind::dict) : !(is_global(x[1], Global::object) && kind(2, ValueKind::none))) wrong();
        Node* n = new_object(x[0], make_tuple({}));
        if ((n->kind == ValueKind::dict) != as_dict) wrong();
        if (as_dict) set_items(n, x[2]->items);
        return n;
      }
      case Global::rebuild_parameter:
      case Global::rebuild_parameter_with_state:
        if (x.size() != (callable->global->id == Global::rebuild_parameter ? 3u : 4u) || !kind(0, ValueKind::tensor)) wrong();
        return x[0];
      case Global::load_from_bytes:
        if (x.size() != 1 || !kind(0, ValueKind::bytes)) wrong();
        need(level_ < a_.streams, "streams are nested more than ", a_.streams, " deep");
        return read_nested_stream(a_, a_.bytes_of(x[0]), level_ + 1);
      case Global::torch_size: {
        if (x.size() != 1 || !(kind(0, ValueKind::tuple) || kind(0, ValueKind::list))) wrong();
        for (Node const* i : x[0]->items) count(i, "an extent");
        return make_tuple(x[0]->items);
      }
      case Global::persistent_object: {
        if (x.size() != 1 || !kind(0, ValueKind::dict)) wrong();
        a_.spend(x[0]->items.size());
        Node *name = last(x[0], "class_name"), *state = last(x[0], "state"), *type = last(x[0], "type"), *version = last(x[0], "version");
        need(name && name->kind == ValueKind::string && state && state->kind == ValueKind::dict && type &&
                 type->kind == ValueKind::string && type->text == "class",
             "a persistent object must have type 'class', a class_name and a state");
        // The official code, too, reads its own version only; every file it wrote so far has this one.
        need(!version || (version->kind == ValueKind::integer && version->text.empty()), "the version of a persistent object is a ",
             version ? name_of(version->kind) : "", ", not a number");
        need(!version || version->integer == persistent_version, "class ", excerpt(name->text), " is stored in version ",
             version ? version->integer : 0, " of torch_utils.persistence; only version ", persistent_version, " is read");
        Node* n = make_box(ValueKind::object, Node::Flavour::persistent);
        n->text = name->text;
        contain(n, state);
        return n;
      }
      case Global::name_space:
        if (!x.empty()) wrong();
        return make_object(Node::Flavour::name_space, "Namespace");
      default: wrong();
    }
    return nullptr;
  }
  // The last argument of a tensor says what is still to be done to its values: PyTorch stores those of a lazily negated or
  // conjugated tensor as they were.
  void expect_plain_values(Node const* metadata) {
    if (metadata->kind == ValueKind::none) return;
    need(metadata->kind == ValueKind::dict, "the metadata of a tensor is a ", name_of(metadata->kind));
    a_.spend(metadata->items.size());
    for (std::size_t i = 0; i < metadata->items.size(); i += 2) {
      Node const &key = *metadata->items[i], &value = *metadata->items[i + 1];
      need(key.kind == ValueKind::string && (is_flag(&value, false) || is_flag(&value, true)),
           "the metadata of a tensor is not understood");
      need(is_flag(&value, false), "a tensor is marked '", excerpt(key.text),
           "': its values are stored as they were before, which is not read; save it again after resolve_neg() and resolve_conj()");
    }
  }
  // Entries are made unique only at the end; until then the last one wins.
  static Node* last(Node* dict, std::string_view key) {
    for (std::size_t i = dict->items.size(); i >= 2; i -= 2)
      if (dict->items[i - 2]->kind == ValueKind::string && dict->items[i - 2]->text == key) return dict->items[i - 1];
    return nullptr;
  }
  Node* make_object(Node::Flavour flavour, std::string_view name) {
    Node* n = make_box(ValueKind::object, flavour);
    n->text = name;
    contain(n, make_box(ValueKind::dict));
    return n;
  }
  Node* new_object(Node* type, Node* arguments) {
    need(type->kind == ValueKind::global, "an instance of a ", name_of(type->kind), " is made");
    need(arguments->kind == ValueKind::tuple && arguments->items.empty(), "an instance of ", type->global->name, " is made with arguments");
    switch (type->global->id) {
      case Global::ordered_dict: return make_box(ValueKind::dict, Node::Flavour::ordered_dict);
      case Global::easy_dict: return make_box(ValueKind::dict, Node::Flavour::easy_dict);
      case Global::network: return make_object(Node::Flavour::network, "Network");
      case Global::name_space: return make_object(Node::Flavour::name_space, "Namespace");
      default: fail("instances of ", type->global->module, ".", type->global->name, " are not accepted");
    }
  }
  void build(Node* n, Node* state) {
    using F = Node::Flavour;
    if (n->kind == ValueKind::dict && n->flavour == F::ordered_dict) {
      need(state->kind == ValueKind::dict, "the state of an OrderedDict is a ", name_of(state->kind));
    } else if (n->kind == ValueKind::dict && n->flavour == F::easy_dict) {
      need(state->kind == ValueKind::dict && state != n, "the state of an EasyDict is a ", name_of(state->kind));
      a_.spend(state->items.size());
      for (std::size_t i = 0; i < state->items.size(); i += 2) set_item(n, state->items[i], state->items[i + 1]);
    } else if (n->kind == ValueKind::object && n->flavour != F::persistent) {
      need(state->kind == ValueKind::dict, "the state of a ", n->text, " is a ", name_of(state->kind));
      need(n->items[0]->items.empty(), "a ", n->text, " is given its state twice");
      n->items.clear();
      contain(n, state);
    } else if (n->kind == ValueKind::dtype) {
      build_dtype(n, state);
    } else if (n->kind == ValueKind::tensor && !n->payload->ready && !n->payload->base) {
      build_array(n, state);
    } else {
      fail("a state is applied to a ", name_of(n->kind));
    }
  }
  void build_dtype(Node* n, Node* state) {
    auto const& x = state->items;
    need(state->kind == ValueKind::tuple && x.size() >= 8 && x.size() <= 9 && x[0]->kind == ValueKind::integer &&
             x[1]->kind == ValueKind::string,
         "the state of a NumPy type is not understood");
    need(x[2]->kind == ValueKind::none && x[3]->kind == ValueKind::none && x[4]->kind == ValueKind::none,
         "structured NumPy types are not read");
    std::string_view order = x[1]->text;
    need(order == "<" || order == ">" || order == "|" || order == "=", "byte order '", excerpt(order),
         "' of a NumPy type is not understood");
    n->payload->swap = order == ">" && size_of(n->payload->dtype) > 1;
  }
  void build_array(Node* n, Node* state) {
    auto const& x = state->items;
    need(state->kind == ValueKind::tuple && x.size() == 5 && is_flag(x[0], true) && x[2]->kind == ValueKind::dtype,
         "the state of a NumPy array is not understood");
    need(is_flag(x[3], true) || is_flag(x[3], false), "the state of a NumPy array is not understood");
    need(is_content(x[4]), "the content of a NumPy array is a ", name_of(x[4]->kind), ", not bytes");
    n->payload->tensor = array(x[2], shape(x[1]), is_flag(x[3], true), x[4]);
    n->payload->ready = true;
    --unbuilt_;
  }
  // Python 2 had no bytes: what it wrote is a string of 8-bit characters.
  static bool is_content(Node const* n) {
    return n->kind == ValueKind::bytes || (n->kind == ValueKind::string && n->flavour == Node::Flavour::eight_bit);
  }
  AnyTensor array(Node const* type, Shape const& shape, bool column_major, Node const* bytes) {
    std::uint64_t size = std::uint64_t(shape.size()) * size_of(type->payload->dtype);
    Bytes content = a_.bytes_of(bytes);
    if (bytes->kind == ValueKind::string) {
      content = latin1_bytes(bytes);
      content.owner = a_.memory;
    }
    need(content.size == size, "an array of shape ", shape, " and type ", type->payload->dtype, " needs ", size, " bytes, got ",
         content.size);
    if (type->payload->dtype == DType::boolean) a_.spend(size / 64);
    return from_numpy({type->payload->dtype, type->payload->swap}, shape, column_major, content, a_.budget);
  }
  Node* rebuild(Node* storage, Node* offset, Node* size, Node* stride, GlobalName const* type = nullptr) {
    need(storage->kind == ValueKind::storage, "a tensor is made from a ", name_of(storage->kind), ", not from a storage");
    Payload const& s = *storage->payload;
    DType const dtype = type ? type->dtype : s.dtype;
    need(dtype == s.dtype || s.untyped, "a tensor of ", dtype, " is made from a storage of ", s.dtype);
    need(!s.swap || !s.untyped || size_of(dtype) == 1, "an untyped storage of a big-endian machine is not read");
    Node* n = a_.make(ValueKind::tensor);
    Payload& p = a_.attach(n);
    p.base = storage;
    p.dtype = dtype;
    p.offset = count(offset, "the offset of a tensor");
    p.shape = shape(size);
    p.stride = counts(stride, "the stride of a tensor");
    need(p.stride.size() == std::size_t(p.shape.rank()), "the size and stride of a tensor differ in rank");
    std::int64_t elements = s.count * std::int64_t(size_of(s.dtype)) / std::int64_t(size_of(dtype));
    if (p.shape.size() > 0) {
      std::int64_t last = p.offset;
      for (int a = 0; a < p.shape.rank(); ++a) {
        std::int64_t& step = p.stride[std::size_t(a)];
        if (p.shape[a] == 1) step = 0;  // never used; a huge one must not overflow
        need(step == 0 || p.shape[a] - 1 <= elements / step, "a tensor reaches beyond its storage of ", elements, " elements");
        last += (p.shape[a] - 1) * step;
      }
      need(last < elements, "a tensor reaches element ", last, " of a storage of ", elements);
    }
    if (storage->payload->ready)
      fill_tensor(a_, n);
    else
      pending_->push_back(n);  // a storage without data exists only in a stream, which fills it at its end
    return n;
  }

  Arena& a_;
  Bytes source_;
  Cursor in_;
  PersistentIds* ids_;
  int level_;
  std::vector<Node*>* pending_;
  std::vector<Node*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, Node*> memo_;
  std::int64_t unbuilt_ = 0;
  bool text_ = false;  // protocol 0 or 1
};

// Python dicts keep the place of the first and the value of the last of equal keys. Sorting rather than hashing: no
// choice of keys makes it slow. Keys that are the same text in the same place are found first, so that what is compared
// by content is no more than the file holds. Sorting is charged: one description may have been given to many dicts.
inline void complete_dict(Arena& arena, Node& dict) {
  auto const n = std::uint32_t(dict.items.size() / 2);
  if (n < 2) return;
  auto key = [&](std::uint32_t i) -> Node const& { return *dict.items[2 * std::size_t(i)]; };
  auto is_text = [](Node const& k) { return k.kind == ValueKind::string || k.kind == ValueKind::bytes; };
  // Not what keys are but where: equal results mean equal keys.
  auto place = [&](std::uint32_t i) {
    Node const& k = key(i);
    bool const number = k.kind == ValueKind::integer || k.kind == ValueKind::boolean || k.kind == ValueKind::real;
    bool const elsewhere = is_text(k) || (k.kind == ValueKind::integer && !k.text.empty());
    void const* p = elsewhere ? static_cast<void const*>(k.text.data()) : number || k.kind == ValueKind::none ? nullptr : &k;
    return std::tuple(k.kind, reinterpret_cast<std::uintptr_t>(p), number && !elsewhere ? std::uint64_t(k.integer) : k.text.size());
  };
  auto before = [&](std::uint32_t i, std::uint32_t j) {
    Node const &a = key(i), &b = key(j);
    if (a.kind == b.kind && (is_text(a) || (a.kind == ValueKind::integer && !a.text.empty() && !b.text.empty()))) return a.text < b.text;
    return place(i) < place(j);
  };
  std::uint64_t const rounds = std::uint64_t(std::bit_width(n));
  arena.spend(n * rounds);
  std::vector<std::uint32_t> order(n), distinct, group(n), first(n), last(n);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t i, std::uint32_t j) { return place(i) < place(j); });
  for (std::uint32_t k = 0; k < n; ++k) {
    bool const fresh = k == 0 || place(order[k]) != place(order[k - 1]);
    if (fresh) distinct.push_back(order[k]);
    group[order[k]] = fresh ? order[k] : group[order[k - 1]];
  }
  std::uint64_t text = 0;
  for (std::uint32_t i : distinct) text += key(i).text.size();
  arena.spend(text / 16 * rounds);
  std::stable_sort(distinct.begin(), distinct.end(), before);
  std::vector<std::uint32_t> rank(n);  // of a group's first key: the number of smaller keys
  std::uint32_t ranks = 0;
  for (std::size_t k = 0; k < distinct.size(); ++k) {
    if (k && before(distinct[k - 1], distinct[k])) ++ranks;
    rank[distinct[k]] = ranks;
  }
  ++ranks;
  for (std::uint32_t i = n; i-- > 0;) first[rank[group[i]]] = i;
  for (std::uint32_t i = 0; i < n; ++i) last[rank[group[i]]] = i;
  std::vector<std::uint32_t> place_of(ranks);
  std::vector<Node*> kept;
  kept.reserve(2 * std::size_t(ranks));
  for (std::uint32_t i = 0; i < n; ++i) {
    std::uint32_t const r = rank[group[i]];
    if (first[r] != i) continue;
    place_of[r] = std::uint32_t(kept.size() / 2);
    kept.push_back(dict.items[2 * std::size_t(i)]);
    kept.push_back(dict.items[2 * std::size_t(last[r]) + 1]);
  }
  dict.items = std::move(kept);
  if (ranks < 16) return;
  arena.budget.charge(4 * std::uint64_t(ranks));
  std::vector<std::uint32_t>& index = arena.indices.emplace_back();
  for (std::uint32_t r = 0; r < ranks; ++r)
    if (key(place_of[r]).kind == ValueKind::string) index.push_back(place_of[r]);
  dict.index = &index;
}
// The value of a string key, or null.
inline Node const* find_entry(Node const& dict, std::string_view key) {
  if (dict.index) {
    auto text = [&](std::uint32_t i) { return dict.items[2 * std::size_t(i)]->text; };
    auto it =
        std::lower_bound(dict.index->begin(), dict.index->end(), key, [&](std::uint32_t i, std::string_view k) { return text(i) < k; });
    return it != dict.index->end() && text(*it) == key ? dict.items[2 * std::size_t(*it) + 1] : nullptr;
  }
  for (std::size_t i = 0; i < dict.items.size(); i += 2)
    if (dict.items[i]->kind == ValueKind::string && dict.items[i]->text == key) return dict.items[i + 1];
  return nullptr;
}

// The children of a node that a traversal follows, and how they are named.
inline std::size_t child_count(Node const& n) {
  switch (n.kind) {
    case ValueKind::list:
    case ValueKind::tuple:
    case ValueKind::set:
    case ValueKind::object: return n.items.size();
    case ValueKind::dict: return n.items.size() / 2;
    default: return 0;
  }
}
inline Node const* child(Node const& n, std::size_t i) { return n.kind == ValueKind::dict ? n.items[2 * i + 1] : n.items[i]; }

// The tensors, and the containers from which one can be reached with the children that lead there.
using Reach = std::unordered_map<Node const*, std::vector<std::uint32_t>>;
inline Reach containers_with_tensors(Node const* root) {
  std::unordered_map<Node const*, std::vector<Node const*>> parents;
  std::vector<Node const*> open{root}, tensors;
  parents[root];
  while (!open.empty()) {
    Node const* n = open.back();
    open.pop_back();
    if (n->kind == ValueKind::tensor) tensors.push_back(n);
    for (std::size_t i = 0; i < child_count(*n); ++i) {
      Node const* c = child(*n, i);
      if (c->kind != ValueKind::tensor && child_count(*c) == 0) continue;
      auto [it, fresh] = parents.try_emplace(c);
      it->second.push_back(n);
      if (fresh) open.push_back(c);
    }
  }
  Reach with;
  for (Node const* t : tensors) with[t];
  while (!tensors.empty()) {
    Node const* n = tensors.back();
    tensors.pop_back();
    for (Node const* p : parents[n])
      if (with.try_emplace(p).second) tensors.push_back(p);
  }
  for (auto& [n, children] : with)
    for (std::size_t i = 0; i < child_count(*n); ++i)
      if (with.find(child(*n, i)) != with.end()) children.push_back(std::uint32_t(i));
  return with;
}

// Keys as Python's str() writes them, so that no two keys of a dict have the same text but 1 and '1', None and 'None' and
// the like. What is longer than any name may be is cut off: tuples can share their parts, and with them their length.
inline void put_quoted(std::string& out, std::string_view s, bool bytes) {
  out += bytes ? "b'" : "'";
  for (char c : s) {
    auto const u = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20 || u == 0x7F || (bytes && u >= 0x80)) {
      out += "\\x";
      out += "0123456789abcdef"[u >> 4];
      out += "0123456789abcdef"[u & 15];
    } else {
      out += c;
    }
  }
  out += '\'';
}
inline std::string real_text(double v) {
  char digits[400];
  double const size = std::abs(v);
  bool const plain = v == 0 || (size >= 1e-4 && size < 1e16);
  char* const end = plain ? std::to_chars(digits, digits + sizeof digits, v, std::chars_format::fixed).ptr
                          : std::to_chars(digits, digits + sizeof digits, v).ptr;
  std::string out(digits, end);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}
// Beyond 64 bits, in hexadecimal: a thousand bytes in decimal would take a while.
inline std::string long_text(std::string_view bytes) {
  bool const negative = static_cast<unsigned char>(bytes.back()) >= 0x80;
  std::string out;
  unsigned carry = 1;
  for (char c : bytes) {
    unsigned b = static_cast<unsigned char>(c);
    if (negative) b = (~b & 0xFF) + carry, carry = b >> 8;
    out += "0123456789abcdef"[b & 15];
    out += "0123456789abcdef"[b >> 4 & 15];
  }
  while (out.size() > 1 && out.back() == '0') out.pop_back();
  out += negative ? "x0-" : "x0";
  std::reverse(out.begin(), out.end());
  return out;
}
inline constexpr std::size_t longest_name = 60000;
inline std::string key_text(Node const& top) {
  if (top.kind == ValueKind::string) return std::string(top.text);
  struct Frame {
    Node const* node;
    std::size_t next;
  };
  std::string out;
  std::vector<Frame> stack;
  auto put = [&](Node const& key) {
    switch (key.kind) {
      case ValueKind::string: put_quoted(out, key.text.substr(0, longest_name), false); break;
      case ValueKind::bytes: put_quoted(out, key.text.substr(0, longest_name), true); break;
      case ValueKind::integer: out += key.text.empty() ? std::to_string(key.integer) : long_text(key.text); break;
      case ValueKind::boolean: out += key.integer ? "True" : "False"; break;
      case ValueKind::none: out += "None"; break;
      case ValueKind::real: out += real_text(key.real); break;
      case ValueKind::global: out += str(key.global->module, ".", key.global->name); break;
      case ValueKind::tuple:
      case ValueKind::set:
        out += key.kind == ValueKind::tuple ? "(" : "frozenset({";
        stack.push_back({&key, 0});
        break;
      default: out += name_of(key.kind);
    }
  };
  put(top);
  while (!stack.empty() && out.size() < longest_name) {
    Frame& f = stack.back();
    auto const& items = f.node->items;
    if (f.next == items.size()) {
      out += f.node->kind == ValueKind::set ? "})" : items.size() == 1 ? ",)" : ")";
      stack.pop_back();
      continue;
    }
    if (f.next > 0) out += ", ";
    put(*items[f.next++]);
  }
  return out;
}

inline Value finish(std::shared_ptr<Arena> arena, Node* root) {
  for (Node& n : arena->nodes)
    if (n.kind == ValueKind::dict) complete_dict(*arena, n);
  check(containers_with_tensors(root).size() > 0, "the file holds no tensor");
  return Value(std::shared_ptr<Node const>(std::move(arena), root));
}

}  // namespace detail

RIG_INLINE char const* name_of(ValueKind kind) {
  static constexpr char const* names[] = {"missing value", "None", "boolean", "integer", "real number", "string",  "bytes",  "list",
                                          "tuple",         "dict", "set",     "global",  "NumPy type",  "storage", "tensor", "object"};
  return names[int(kind)];
}

RIG_INLINE ValueKind Value::kind() const { return node_ ? node_->kind : ValueKind::absent; }

RIG_INLINE detail::Node const& Value::expect(ValueKind k) const {
  check(kind() == k, "expected a ", name_of(k), ", found a ", name_of(kind()));
  return *node_;
}
RIG_INLINE Value Value::wrap(detail::Node const* n) const { return Value(std::shared_ptr<detail::Node const>(node_, n)); }

RIG_INLINE double Value::real() const {
  switch (kind()) {
    case ValueKind::boolean: return double(node_->integer);
    case ValueKind::integer:
      return node_->text.empty() ? double(node_->integer) : throw Error("expected a number, found an integer beyond 64 bits");
    case ValueKind::tensor: return node_->payload->tensor.item<double>();
    default: return expect(ValueKind::real).real;
  }
}
RIG_INLINE std::int64_t Value::integer() const {
  if (is(ValueKind::integer) || is(ValueKind::boolean)) {
    check(node_->text.empty(), "expected an integer of at most 64 bits, found a larger one");
    return node_->integer;
  }
  if (is(ValueKind::tensor) && node_->payload->tensor.dtype() == DType::i64) return node_->payload->tensor.item<std::int64_t>();
  check(is(ValueKind::real) || is(ValueKind::tensor), "expected an integer, found a ", name_of(kind()));
  double v = real();
  check(v == std::floor(v) && std::abs(v) <= 0x1p53, "expected an integer, found ", v);
  return std::int64_t(v);
}
RIG_INLINE bool Value::boolean() const {
  std::int64_t v = integer();
  check(v == 0 || v == 1, "expected a boolean, found ", v);
  return v != 0;
}
RIG_INLINE std::string_view Value::string() const { return expect(ValueKind::string).text; }
RIG_INLINE std::span<std::byte const> Value::bytes() const { return std::as_bytes(std::span(expect(ValueKind::bytes).text)); }
RIG_INLINE AnyTensor const& Value::tensor() const { return expect(ValueKind::tensor).payload->tensor; }

RIG_INLINE detail::Node const* Value::entries() const {
  detail::Node const* n = node_.get();
  if (is(ValueKind::object)) n = n->items[0];
  return n && n->kind == ValueKind::dict ? n : nullptr;
}
RIG_INLINE std::size_t Value::size() const {
  if (auto const* d = entries()) return d->items.size() / 2;
  check(is(ValueKind::list) || is(ValueKind::tuple) || is(ValueKind::set), "expected a container, found a ", name_of(kind()));
  return node_->items.size();
}
RIG_INLINE Value Value::operator[](std::size_t i) const {
  check(is(ValueKind::list) || is(ValueKind::tuple), "expected a list or tuple, found a ", name_of(kind()));
  check(i < node_->items.size(), "item ", i, " of a ", name_of(kind()), " of ", node_->items.size());
  return wrap(node_->items[i]);
}
RIG_INLINE std::pair<Value, Value> Value::entry(std::size_t i) const {
  auto const* d = entries();
  check(d != nullptr, "expected a dict, found a ", name_of(kind()));
  check(2 * i < d->items.size(), "entry ", i, " of a dict of ", d->items.size() / 2);
  return {wrap(d->items[2 * i]), wrap(d->items[2 * i + 1])};
}
RIG_INLINE Value Value::find(std::string_view key) const {
  auto const* d = entries();
  check(d != nullptr, "expected a dict with '", key, "', found a ", name_of(kind()));
  detail::Node const* n = detail::find_entry(*d, key);
  return n ? wrap(n) : Value{};
}
RIG_INLINE Value Value::at(std::string_view key) const {
  Value v = find(key);
  check(bool(v), "the file has no '", key, "'", is(ValueKind::object) ? " in its " : "",
        is(ValueKind::object) ? class_name() : std::string_view());
  return v;
}
RIG_INLINE std::string_view Value::class_name() const { return expect(ValueKind::object).text; }
RIG_INLINE Value Value::state() const { return wrap(expect(ValueKind::object).items[0]); }

namespace detail {

// How all_tensors writes a path: a.0.b, or in full, [0] for an item and ['a'] for an entry, which no other path can be.
enum class PathStyle { dotted, full };
inline std::vector<NamedTensor> list_tensors(Value const& root, PathStyle style) {
  struct Frame {
    Node const* node;
    std::vector<std::uint32_t> const* children;
    std::size_t next;
    std::size_t name;  // length of the path up to here
    bool named;        // the path has a part, if only an empty one
    bool plain;        // entries of an object's state: three keys are transparent
  };
  std::vector<NamedTensor> out;
  std::vector<Frame> stack;
  std::string path;
  Node const* top = root.node();
  auto with = containers_with_tensors(top);
  if (with.find(top) == with.end()) return out;
  std::unordered_map<Node const*, bool> on_path;
  std::size_t steps = 0, text = 0;
  auto enter = [&](Node const* n, bool named, bool plain) {
    // Sharing can make the number of paths exponential in the size of the file.
    text += path.size();
    check(++steps <= (1u << 19) && text <= (1u << 26) && path.size() < longest_name,
          "the file refers to its tensors in too many ways, or by too long names, to list them");
    if (n->kind == ValueKind::tensor) {
      out.push_back({path, n->payload->tensor});
      text += 128;
      return;
    }
    if (on_path[n]) return;
    on_path[n] = true;
    stack.push_back({n, &with.at(n), 0, path.size(), named, plain});
  };
  enter(top, false, true);
  while (!stack.empty()) {
    Frame& f = stack.back();
    path.resize(f.name);
    if (f.next == f.children->size()) {
      on_path[f.node] = false;
      stack.pop_back();
      continue;
    }
    std::size_t const i = (*f.children)[f.next++];
    Node const* c = child(*f.node, i);
    bool const keyed = f.node->kind == ValueKind::dict, full = style == PathStyle::full;
    if (f.node->kind == ValueKind::object) {
      enter(c, f.named, f.node->flavour != Node::Flavour::persistent);
      continue;
    }
    Node const* key = keyed ? f.node->items[2 * i] : nullptr;
    std::string const name = !keyed ? std::to_string(i) : key_text(*key);
    bool const seen = full || f.plain || (name != "_parameters" && name != "_buffers" && name != "_modules");
    if (full) {
      path += '[';
      if (keyed && key->kind == ValueKind::string)
        put_quoted(path, name, false);
      else
        path += name;
      path += ']';
    } else if (seen) {
      if (f.named) path += '.';
      path += name;
    }
    enter(c, f.named || seen, true);
  }
  return out;
}

}  // namespace detail

RIG_INLINE std::vector<NamedTensor> all_tensors(Value const& root) {
  check(bool(root), "expected a value, found none");
  auto out = detail::list_tensors(root, detail::PathStyle::dotted);
  // Sorted by a hash first: long names that begin alike are then compared only where they are equal.
  std::vector<std::pair<std::size_t, std::uint32_t>> order;
  order.reserve(out.size());
  for (auto const& t : out) order.emplace_back(std::hash<std::string>()(t.name), std::uint32_t(order.size()));
  std::sort(order.begin(), order.end(),
            [&](auto const& a, auto const& b) { return a.first != b.first ? a.first < b.first : out[a.second].name < out[b.second].name; });
  for (std::size_t k = 1; k < order.size(); ++k) {
    std::size_t const a = order[k - 1].second, b = order[k].second;
    if (out[a].name != out[b].name) continue;
    auto const full = detail::list_tensors(root, detail::PathStyle::full);
    throw Error(str("two tensors would both be named '", excerpt(out[a].name, 80), "': ", excerpt(full[std::min(a, b)].name, 80), " and ",
                    excerpt(full[std::max(a, b)].name, 80)));
  }
  return out;
}

RIG_INLINE std::vector<NamedTensor> module_tensors(Value const& module) {
  struct Item {
    Value module;
    std::string prefix;
  };
  std::vector<NamedTensor> out;
  std::vector<Item> open{{module, ""}};
  std::size_t steps = 0, text = 0;
  while (!open.empty()) {
    Item item = std::move(open.back());
    open.pop_back();
    check(++steps <= 100000 && out.size() <= 100000 && text <= (1u << 26), "the module tree of the file is not plausible");
    for (char const* group : {"_parameters", "_buffers"}) {
      Value g = item.module.find(group);
      if (!g || g.is_none()) continue;
      for (std::size_t i = 0; i < g.size(); ++i) {
        auto [key, value] = g.entry(i);
        if (value.is_none()) continue;
        check(key.string().size() < 1000, "the module tree of the file is not plausible");
        out.push_back({item.prefix + std::string(key.string()), value.tensor()});
        text += out.back().name.size() + 128;
        check(out.size() <= 100000 && text <= (1u << 26), "the module tree of the file is not plausible");
      }
    }
    Value children = item.module.find("_modules");
    if (!children || children.is_none()) continue;
    for (std::size_t i = children.size(); i-- > 0;) {  // a stack: reversed, so that the first comes out first
      auto [key, value] = children.entry(i);
      if (value.is_none()) continue;
      check(item.prefix.size() + key.string().size() < 1000 && open.size() <= 100000, "the module tree of the file is not plausible");
      open.push_back({value, item.prefix + std::string(key.string()) + "."});
    }
  }
  return out;
}

}  // namespace rig::inline RIG_ABI::io

#include "rig/io/torch.hpp"
