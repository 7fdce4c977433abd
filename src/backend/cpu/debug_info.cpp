// The ELF image: .text (no bytes: the code's address and size), .eh_frame, .symtab, .strtab, .shstrtab. Layouts as in the System V
// ABI and the DWARF 4 standard; the JIT interface as in gdb's manual, "JIT Compilation Interface".
#include "backend/cpu/debug_info.h"

#include <elf.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

extern "C" {

// Names and layouts that gdb looks for.
struct jit_code_entry {
  jit_code_entry *next_entry, *prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};
struct jit_descriptor {
  uint32_t version, action_flag;
  jit_code_entry *relevant_entry, *first_entry;
};
jit_descriptor __jit_debug_descriptor = {1, 0, nullptr, nullptr};
void __attribute__((noinline)) __jit_debug_register_code() { asm volatile("" ::: "memory"); }  // gdb stops here

}  // extern "C"

namespace lumen::cpu {
namespace {

enum Action : uint32_t { kNone, kRegister, kUnregister };

std::mutex& mutex() {
  static std::mutex m;
  return m;
}

template <class T>
void append(std::vector<uint8_t>& to, const T& value) {
  const uint8_t* p = reinterpret_cast<const uint8_t*>(&value);
  to.insert(to.end(), p, p + sizeof value);
}
void append(std::vector<uint8_t>& to, std::initializer_list<int> bytes) {
  for (int b : bytes) to.push_back(static_cast<uint8_t>(b));
}
void pad(std::vector<uint8_t>& to, size_t multiple) {
  while (to.size() % multiple) to.push_back(0);
}

// Unwind rules: the frame pointer is saved by the first instruction and set by the second.
std::vector<uint8_t> frame_section(uint64_t code, uint64_t size) {
  enum {
    kRbp = 6,
    kRsp = 7,
    kReturn = 16,
    kNop = 0,
    kDefCfa = 0x0C,
    kDefCfaOffset = 0x0E,
    kDefCfaRegister = 0x0D,
    kOffset = 0x80,
    kAdvance = 0x40
  };
  std::vector<uint8_t> cie, fde, out;
  append(cie, uint32_t{0});
  append(cie, {1, 'z', 'R', 0, 1, 0x78, kReturn, 1, 0});             // version, augmentation, alignments 1 and -8, absolute pointers
  append(cie, {kDefCfa, kRsp, 8, kOffset | kReturn, 1});
  while ((cie.size() + 4) % 8) cie.push_back(kNop);
  append(out, static_cast<uint32_t>(cie.size()));
  out.insert(out.end(), cie.begin(), cie.end());
  append(fde, static_cast<uint32_t>(out.size() + 4));                  // distance back to the CIE
  append(fde, code);
  append(fde, size);
  append(fde, {0, kAdvance | 1, kDefCfaOffset, 16, kOffset | kRbp, 2, kAdvance | 3, kDefCfaRegister, kRbp});
  while ((fde.size() + 4) % 8) fde.push_back(kNop);
  append(out, static_cast<uint32_t>(fde.size()));
  out.insert(out.end(), fde.begin(), fde.end());
  append(out, uint32_t{0});
  return out;
}

std::vector<uint8_t> elf_image(const std::string& name, uint64_t code, uint64_t size) {
  static const char kNames[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.shstrtab";  // offsets 1, 7, 17, 25, 33
  std::vector<uint8_t> frame = frame_section(code, size), out(sizeof(Elf64_Ehdr));
  Elf64_Shdr sections[6] = {};
  auto section = [&](int i, uint32_t section_name, uint32_t type, uint64_t flags, const void* data, uint64_t bytes) {
    pad(out, 8);
    sections[i].sh_name = section_name;
    sections[i].sh_type = type;
    sections[i].sh_flags = flags;
    sections[i].sh_offset = out.size();
    sections[i].sh_size = bytes;
    sections[i].sh_addralign = 8;
    if (data) out.insert(out.end(), static_cast<const uint8_t*>(data), static_cast<const uint8_t*>(data) + bytes);
  };
  Elf64_Sym symbols[2] = {};
  symbols[1].st_name = 1;
  symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  symbols[1].st_shndx = 1;
  symbols[1].st_value = 0;  // relative to .text, as the file is relocatable
  symbols[1].st_size = size;
  std::string strings = std::string(1, '\0') + "lumen_jit_" + name + std::string(1, '\0');
  section(1, 1, SHT_NOBITS, SHF_ALLOC | SHF_EXECINSTR, nullptr, size);
  sections[1].sh_addr = code;
  section(2, 7, SHT_PROGBITS, SHF_ALLOC, frame.data(), frame.size());
  section(3, 17, SHT_SYMTAB, 0, symbols, sizeof symbols);
  sections[3].sh_link = 4;
  sections[3].sh_info = 1;
  sections[3].sh_entsize = sizeof(Elf64_Sym);
  section(4, 25, SHT_STRTAB, 0, strings.data(), strings.size());
  section(5, 33, SHT_STRTAB, 0, kNames, sizeof kNames);
  pad(out, 8);
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shoff = out.size();
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 6;
  header.e_shstrndx = 5;
  std::memcpy(out.data(), &header, sizeof header);
  append(out, sections);
  return out;
}

void tell_perf(const std::string& name, const uint8_t* code, size_t size) {
  if (!std::getenv("LUMEN_PERF_MAP")) return;
  std::string path = "/tmp/perf-" + std::to_string(getpid()) + ".map";
  if (std::FILE* f = std::fopen(path.c_str(), "a")) {
    std::fprintf(f, "%llx %zx lumen_jit_%s\n", static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(code)), size, name.c_str());
    std::fclose(f);
  }
}

}  // namespace

struct DebugInfo::Entry : jit_code_entry {};

DebugInfo::DebugInfo(const std::string& name, const uint8_t* code, size_t size)
    : image_(elf_image(name, reinterpret_cast<uintptr_t>(code), size)), entry_(std::make_unique<Entry>()) {
  std::lock_guard lock(mutex());
  tell_perf(name, code, size);
  entry_->symfile_addr = reinterpret_cast<const char*>(image_.data());
  entry_->symfile_size = image_.size();
  entry_->prev_entry = nullptr;
  entry_->next_entry = __jit_debug_descriptor.first_entry;
  if (entry_->next_entry) entry_->next_entry->prev_entry = entry_.get();
  __jit_debug_descriptor.first_entry = __jit_debug_descriptor.relevant_entry = entry_.get();
  __jit_debug_descriptor.action_flag = kRegister;
  __jit_debug_register_code();
  __jit_debug_descriptor.action_flag = kNone;
}

DebugInfo::~DebugInfo() {
  std::lock_guard lock(mutex());
  if (entry_->prev_entry) entry_->prev_entry->next_entry = entry_->next_entry;
  else __jit_debug_descriptor.first_entry = entry_->next_entry;
  if (entry_->next_entry) entry_->next_entry->prev_entry = entry_->prev_entry;
  __jit_debug_descriptor.relevant_entry = entry_.get();
  __jit_debug_descriptor.action_flag = kUnregister;
  __jit_debug_register_code();
  __jit_debug_descriptor.action_flag = kNone;
  __jit_debug_descriptor.relevant_entry = nullptr;
}

}  // namespace lumen::cpu
