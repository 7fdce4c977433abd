#!/usr/bin/env python3
"""Runs kernels made for AVX-512 in Bochs (apt: bochs, bochsbios, vgabios), for machines without AVX-512.

usage: run.py CASES      where CASES was written by:  LUMEN_EMULATE=CASES build/test_cpu
Prints how many cases agree with the evaluator; exit status 1 where one does not, or where the emulator stopped early.

A cases file is a sequence of records, all numbers little-endian u64: name length, name; code length, code; begin; end;
scalar count, scalars; buffer count; per buffer: size, real (0 or 1), compared (0 or 1), bytes before, bytes after if compared.
"""
import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = 32 << 20  # address that the disk is read to; the program is at 16 MB
MEMORY = 512      # MB


def read_cases(path):
    data = open(path, "rb").read()
    at = 0

    def number():
        nonlocal at
        at += 8
        return struct.unpack_from("<q", data, at - 8)[0]

    def blob():
        nonlocal at
        n = number()
        at += n
        return data[at - n:at]

    cases = []
    while at < len(data):
        case = {"name": blob().decode(), "code": blob(), "begin": number(), "end": number()}
        case["scalars"] = [number() for _ in range(number())]
        case["buffers"] = []
        for _ in range(number()):
            size, real, compared = number(), number(), number()
            before = data[at:at + size]
            at += size
            after = None
            if compared:
                after = data[at:at + size]
                at += size
            case["buffers"].append((before, after, real))
        cases.append(case)
    return cases


def lay_out(cases):
    image = bytearray(8 + 56 * len(cases))
    struct.pack_into("<Q", image, 0, len(cases))

    def place(data, align=64):
        image.extend(b"\0" * (-len(image) % align))
        image.extend(data)
        return TABLE + len(image) - len(data)

    for i, c in enumerate(cases):
        code = place(c["code"], 64)
        pointers, rows = [], []
        for before, after, real in c["buffers"]:
            pointers.append(place(before + b"\0" * 64))
            if after is not None:
                rows.append(struct.pack("<4Q", pointers[-1], place(after), len(after), real))
        struct.pack_into("<7Q", image, 8 + 56 * i, code, place(struct.pack("<%dQ" % len(pointers), *pointers)),
                         place(struct.pack("<%dq" % len(c["scalars"]), *c["scalars"])), c["begin"], c["end"], place(b"".join(rows)), len(rows))
    return bytes(image)


def run(cases, cpu):
    with tempfile.TemporaryDirectory() as d:
        def path(name):
            return os.path.join(d, name)

        def do(*command):
            subprocess.run(command, check=True, cwd=d)

        image = lay_out(cases)
        cylinder = 16 * 63 * 512
        disk = image + b"\0" * (-len(image) % cylinder)
        open(path("disk.img"), "wb").write(disk)
        open(path("sectors.h"), "w").write(f"enum {{ kSectors = {(len(image) + 511) // 512} }};\n")
        do("gcc", "-c", "-o", "boot.o", os.path.join(HERE, "boot.S"))
        do("ld", "-Ttext=0x7c00", "--oformat=binary", "-o", "boot.bin", "boot.o")
        do("gcc", "-O1", "-ffreestanding", "-fno-pic", "-mno-red-zone", "-mgeneral-regs-only", "-I.", "-fno-stack-protector", "-c", "-o", "program.o", os.path.join(HERE, "program.c"))
        open(path("link.ld"), "w").write("SECTIONS { . = 0x1000000; .all : { *(.start) *(.text*) *(.rodata*) *(.data*) *(.bss*) } /DISCARD/ : { *(*) } }\n")
        do("ld", "-T", "link.ld", "--oformat=binary", "-e", "start", "-o", "program.bin", "program.o")
        boot = open(path("boot.bin"), "rb").read()
        open(path("floppy.img"), "wb").write(boot.ljust(1474560, b"\0"))
        share = "/usr/share/"
        open(path("rc"), "w").write("\n".join([
            f"megs: {MEMORY}", f"cpu: model={cpu}, count=1, ips=200000000, reset_on_triple_fault=0", f"romimage: file={share}bochs/BIOS-bochs-latest",
            f"vgaromimage: file={share}bochs/VGABIOS-lgpl-latest", "floppya: 1_44=floppy.img, status=inserted", "boot: floppy",
            "optramimage1: file=program.bin, address=0x01000000",
            "ata0: enabled=1", f"ata0-master: type=disk, path=disk.img, mode=flat, cylinders={len(disk) // cylinder}, heads=16, spt=63",
            "port_e9_hack: enabled=1", 'display_library: rfb, options="timeout=0"', "log: bochs.log", "panic: action=fatal", "error: action=ignore", "info: action=report",
            "debug: action=ignore", "clock: sync=none", "speaker: enabled=0", ""]))
        open(path("go"), "w").write("c\n")
        result = subprocess.run(["bochs", "-q", "-f", "rc", "-rc", "go"], cwd=d, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=3600)
        out = result.stdout.decode("latin-1")
        log = open(path("bochs.log"), errors="replace").read() if os.path.exists(path("bochs.log")) else ""
        return out, log


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    cases = read_cases(sys.argv[1])
    out, log = run(cases, os.environ.get("BOCHS_CPU", "corei7_icelake_u"))
    lines = [m.group(0) for l in out.splitlines() if (m := re.search(r"case \d+.*", l))]
    good = [l for l in lines if l.endswith(" ok")]
    for l in lines:
        if not l.endswith(" ok"):
            number = int(re.match(r"case (\d+)", l).group(1))
            print(f"{l}: {cases[number]['name']}")
    print(f"{len(good)} of {len(cases)} cases agree in the emulator")
    if len(good) != len(cases):
        print(out[-1500:])
        print("\n".join(log.splitlines()[-40:]))
        sys.exit(1)


if __name__ == "__main__":
    main()
