// What a model file holds and what Lumen will do with it: for inspect, and for show.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "arguments.h"
#include "checkpoint/checkpoint.h"
#include "json_writer.h"

namespace lumen::tool {

struct TensorReport {
  const CheckpointTensor* tensor;
  std::string format;     // "q4_k", "f32", "type 1000"
  std::string treatment;  // what Lumen will do with it
  std::string used_as;    // weights of the model made from it
};
struct Inspection {
  std::string path;
  Checkpoint file;
  std::vector<TensorReport> tensors;
  std::map<std::string, std::string> formats;  // name -> description
  std::string model_problem;                   // why it cannot run; empty: it can
};
Result<Inspection> inspect_file(const Arguments& a, const std::string& name_or_path);
void write_json(JsonWriter& w, const Inspection& r);  // everything, as one object
void print_formats(const Inspection& r);              // a line for each: tensors, bytes, what is done with it

}  // namespace lumen::tool
