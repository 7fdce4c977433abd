// One statement of the loop IR as one line of text (bodies left out), for error messages and listings.
#pragma once
#include <string>

#include "compiler/loops/loop_ir.h"

namespace lumen::loops {

std::string print_reg(const Kernel& k, Reg r);  // "%12.acc"
std::string print_type(const RegInfo& info);    // "f32x8", "i64"
std::string print_stmt(const Kernel& k, const Stmt& s);

}  // namespace lumen::loops
