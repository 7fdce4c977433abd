"""Makes tiny.gguf with the PyPI package `gguf`, an implementation that is not ours. Run: pip install gguf; python make_gguf.py

Every metadata type, a nested array, an f32 and a quantised tensor. src/checkpoint/gguf_reader_test.cpp knows the values.
"""
import pathlib

import gguf
import numpy as np

out = pathlib.Path(__file__).with_name("tiny.gguf")
w = gguf.GGUFWriter(out, "tiny")
w.add_uint8("t.u8", 200)
w.add_int8("t.i8", -100)
w.add_uint16("t.u16", 60000)
w.add_int16("t.i16", -30000)
w.add_uint32("t.u32", 4000000000)
w.add_int32("t.i32", -2000000000)
w.add_uint64("t.u64", 1 << 60)
w.add_int64("t.i64", -(1 << 60))
w.add_float32("t.f32", 0.15625)
w.add_float64("t.f64", 1e-300)
w.add_bool("t.bool", True)
w.add_string("t.string", "한글 text")
w.add_array("t.ints", [1, -2, 3])
w.add_array("t.floats", [0.5, -1.5])
w.add_array("t.strings", ["<s>", "", "안녕"])
w.add_array("t.bools", [True, False, True])
w.add_array("t.nested", [[1, 2], [3]])
w.add_tensor("f32", np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5)
packed = (np.arange(3 * 2 * 18) * 7).astype(np.uint8).reshape(3, 36)  # 3 rows of 64 elements, 18 bytes for each 32
w.add_tensor("q4_0", packed, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
print(out, out.stat().st_size, "bytes")
