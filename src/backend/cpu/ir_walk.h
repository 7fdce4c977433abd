// Small walks over loop IR that the CPU's passes share: who assigns, who reads, what may be moved or dropped.
#pragma once
#include <vector>

#include "compiler/loops/loop_ir.h"

namespace lumen::cpu {

// Calls fn(Reg&) for every register that the statement itself reads (its bodies not).
template <class Statement, class Fn>
void for_each_read(Statement& s, const Fn& fn) {
  for (auto& r : s.src)
    if (r) fn(r);
  if (s.at.offset) fn(s.at.offset);
  if (s.at.offset2) fn(s.at.offset2);
  if (s.count) fn(s.count);
}

// Calls fn(Stmt&) for every statement, outer ones before inner ones.
template <class Body, class Fn>
void for_each_stmt(Body& body, const Fn& fn) {
  for (auto& s : body) {
    fn(s);
    for_each_stmt(s.body, fn);
    for_each_stmt(s.otherwise, fn);
  }
}

// Assignments a register has, loop counters, arguments and scalars included.
std::vector<int> count_defs(const loops::Kernel& k);
std::vector<int> count_reads(const loops::Kernel& k);

// Computes a register from registers and nothing else: neither memory nor control.
bool is_pure(const loops::Stmt& s);
// Whether the statement or its bodies read or assign `r`.
bool touches(const loops::Stmt& s, loops::Reg r);

}  // namespace lumen::cpu
