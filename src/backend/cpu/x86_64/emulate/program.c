/* What runs inside the emulator: calls each case's code, compares its memory with what the evaluator expected and writes a line
   a case to the emulator's debug port. run.py laid out a disk that is read to 32 MB: the cases' table, then what it points to. */
#include "sectors.h"

typedef unsigned char u8;
typedef unsigned long u64;
typedef long i64;

struct buffer { u8 *got; const u8 *expected; u64 size; u64 real; };  /* real: f32 values, NaNs and zeros of either sign equal */
struct test { void (*code)(u8 *const *, const i64 *, i64, i64); u8 *const *pointers; const i64 *scalars; i64 begin, end; const struct buffer *buffers; u64 count; };
struct table { u64 count; struct test tests[]; };

static void put(char c) { __asm__ volatile("outb %0, $0xE9" ::"a"(c)); }
static void text(const char *s) { while (*s) put(*s++); }
static void number(u64 v) {
  char digits[20];
  int n = 0;
  do digits[n++] = (char)('0' + v % 10); while (v /= 10);
  while (n) put(digits[--n]);
}

static unsigned word(const u8 *p) { return p[0] | p[1] << 8 | p[2] << 16 | (unsigned)p[3] << 24; }
static int same_float(unsigned a, unsigned b) {
  if (a == b) return 1;
  a &= 0x7FFFFFFF;
  b &= 0x7FFFFFFF;
  return (a == 0 && b == 0) || (a > 0x7F800000 && b > 0x7F800000);
}

static int compare(const struct buffer *b, u64 *at) {
  for (u64 i = 0; i < b->size;) {
    if (b->real && i + 4 <= b->size) {
      if (!same_float(word(b->got + i), word(b->expected + i))) { *at = i; return 0; }
      i += 4;
    } else {
      if (b->got[i] != b->expected[i]) { *at = i; return 0; }
      ++i;
    }
  }
  return 1;
}

static void out(unsigned short port, u8 v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static u8 in(unsigned short port) {
  u8 v;
  __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
  return v;
}

/* The first ATA disk's sectors, by programmed input. */
static void read_disk(u8 *to, u64 sectors) {
  for (u64 at = 0; at < sectors; ++at) {
    out(0x1F6, (u8)(0xE0 | (at >> 24)));
    out(0x1F2, 1);
    out(0x1F3, (u8)at);
    out(0x1F4, (u8)(at >> 8));
    out(0x1F5, (u8)(at >> 16));
    out(0x1F7, 0x20);
    while ((in(0x1F7) & 0x88) != 0x08) {
    }
    u64 words = 256;
    __asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(0x1F0) : "memory");
  }
}

__attribute__((section(".start"))) void start(void) {
  const struct table *t = (const struct table *)0x2000000;
  read_disk((u8 *)0x2000000, kSectors);
  for (u64 i = 0; i < t->count; ++i) {
    const struct test *c = &t->tests[i];
    text("case ");
    number(i);
    c->code(c->pointers, c->scalars, c->begin, c->end);
    int fine = 1;
    for (u64 b = 0; b < c->count; ++b) {
      u64 at = 0;
      if (compare(&c->buffers[b], &at)) continue;
      fine = 0;
      text(" differs in buffer ");
      number(b);
      text(" at ");
      number(at);
      text(": expected ");
      number(word(c->buffers[b].expected + at));
      text(" got ");
      number(word(c->buffers[b].got + at));
    }
    text(fine ? " ok\n" : "\n");
  }
  text("end\n");
}
