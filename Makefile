# A front for CMakePresets.json, for people who type make. What needs a whole machine set up is ./run.sh and ./test.sh.
JOBS ?= $(shell nproc)

.PHONY: help build debug asan fuzz test test-quick bench arrows format clean
help:
	@echo "make build       Release; the binary is build/lumen"
	@echo "make debug       Debug build in build-debug"
	@echo "make test        what ./test.sh does: packages, build, model, all tests"
	@echo "make test-quick  build and run the tests with what is installed; ARGS='-R ir' picks some"
	@echo "make asan        build and run the tests under ASan and UBSan, in build-asan"
	@echo "make fuzz        build the fuzz programs with clang and run each for FUZZ_SECONDS (600); FUZZ='gguf lum' picks some"
	@echo "make bench       builds llama.cpp and ik_llama.cpp, measures them beside Lumen on MODELS and SYNTH, writes docs/benchmarks.md"
	@echo "make arrows      which room may include which"
	@echo "make format      clang-format over src, tools and fuzz"

build:
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

debug:
	cmake --preset debug
	cmake --build --preset debug -j $(JOBS)

asan:
	cmake --preset asan
	cmake --build --preset asan -j $(JOBS)
	ctest --preset asan -j $(JOBS) $(ARGS)

FUZZ_SECONDS ?= 600
fuzz:
	cmake --preset fuzz
	cmake --build --preset fuzz -j $(JOBS)
	fuzz/run.sh build-fuzz $(FUZZ_SECONDS) $(FUZZ)

test:
	./test.sh

test-quick: build
	ctest --preset release -j $(JOBS) $(ARGS)

MODELS ?= smollm2
SYNTH ?= llama1b-q4_0,llama1b-q4_k_m,llama1b-q8_0
BENCH_ARGS ?=
bench: build
	bench/run.py $(MODELS) --synth "$(SYNTH)" -- $(BENCH_ARGS)

arrows:
	python3 tests/arrows.py

format:
	find src tools fuzz -name '*.cpp' -o -name '*.h' | xargs clang-format -i

clean:
	rm -rf build build-debug build-asan build-fuzz
