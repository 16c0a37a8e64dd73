// Runs an explained file, or any ONNX model: explain MODEL.onnx [input=file.npy ...] [-o FOLDER]
// [-n RUNS] [-l LIBRARY]
//
// Inputs that are not given are zeros, with 1 where a length is open. Prints each output's shape,
// sum and largest magnitude: the prediction is one, "attribution/..." another. -o writes them as
// .npy, "/" in names becoming "_"; -n runs so many times and says how long the fastest took.
// -l loads onnxplain's operators (onnxplain_ops.so), for files of form="accelerated".

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "npy.hpp"

namespace {

using Clock = std::chrono::steady_clock;

const std::vector<std::pair<std::string, ONNXTensorElementDataType>> kTypes = {
    {"<f4", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT}, {"<f8", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
    {"<i4", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32}, {"<i8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {"|b1", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},  {"|u1", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {"|i1", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
};

ONNXTensorElementDataType type_of(const std::string& dtype) {
  for (const auto& [name, type] : kTypes)
    if (name == dtype) return type;
  throw std::runtime_error("no tensor type for " + dtype);
}

std::string dtype_of(ONNXTensorElementDataType type) {
  for (const auto& [name, known] : kTypes)
    if (known == type) return name;
  throw std::runtime_error("this program reads and writes floats, integers and booleans alone");
}

Array zeros(const Ort::TypeInfo& info) {
  auto tensor = info.GetTensorTypeAndShapeInfo();
  Array made{dtype_of(tensor.GetElementType()), tensor.GetShape(), {}};
  std::size_t size = width_of(made.dtype);
  for (auto& d : made.shape) {
    d = std::max<std::int64_t>(d, 1);
    size *= static_cast<std::size_t>(d);
  }
  made.bytes.assign(size, 0);
  return made;
}

template <typename T>
std::pair<double, double> sum_and_peak(const Array& array) {
  double sum = 0, peak = 0;
  const T* at = reinterpret_cast<const T*>(array.bytes.data());
  for (std::size_t k = 0; k < array.bytes.size() / sizeof(T); ++k) {
    sum += static_cast<double>(at[k]);
    peak = std::max(peak, std::abs(static_cast<double>(at[k])));
  }
  return {sum, peak};
}

void print(const std::string& name, const Array& array) {
  auto [sum, peak] = array.dtype == "<f4"   ? sum_and_peak<float>(array)
                     : array.dtype == "<f8" ? sum_and_peak<double>(array)
                     : array.dtype == "<i8" ? sum_and_peak<std::int64_t>(array)
                     : array.dtype == "<i4" ? sum_and_peak<std::int32_t>(array)
                                            : sum_and_peak<std::int8_t>(array);
  std::printf("%s [", name.c_str());
  for (std::size_t k = 0; k < array.shape.size(); ++k)
    std::printf("%s%lld", k ? ", " : "", static_cast<long long>(array.shape[k]));
  std::printf("] sum %.6g largest %.6g\n", sum, peak);
}

void run(const std::string& path, const std::map<std::string, std::string>& files,
         const std::string& folder, int runs, const std::string& library) {
  auto begin = Clock::now();
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "explain");
  Ort::SessionOptions options;
  if (!library.empty()) options.RegisterCustomOpsLibrary(library.c_str());
  Ort::Session session(env, path.c_str(), options);
  std::printf("loaded in %.1f ms\n",
              std::chrono::duration<double, std::milli>(Clock::now() - begin).count());

  Ort::AllocatorWithDefaultOptions allocator;
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::vector<std::string> names, made;
  std::vector<Array> arrays;
  for (std::size_t k = 0; k < session.GetInputCount(); ++k) {
    names.emplace_back(session.GetInputNameAllocated(k, allocator).get());
    auto given = files.find(names.back());
    arrays.push_back(given == files.end() ? zeros(session.GetInputTypeInfo(k))
                                          : read_npy(given->second));
  }
  for (const auto& [name, file] : files)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw std::runtime_error("the model has no input '" + name + "'");
  for (std::size_t k = 0; k < session.GetOutputCount(); ++k)
    made.emplace_back(session.GetOutputNameAllocated(k, allocator).get());

  std::vector<Ort::Value> values;
  for (auto& a : arrays)
    values.push_back(Ort::Value::CreateTensor(memory, a.bytes.data(), a.bytes.size(),
                                              a.shape.data(), a.shape.size(), type_of(a.dtype)));
  std::vector<const char*> inputs, outputs;
  for (const auto& n : names) inputs.push_back(n.c_str());
  for (const auto& n : made) outputs.push_back(n.c_str());
  std::vector<Ort::Value> found;
  double fastest = HUGE_VAL;
  for (int k = 0; k < runs; ++k) {
    begin = Clock::now();
    found = session.Run(Ort::RunOptions(), inputs.data(), values.data(), inputs.size(),
                        outputs.data(), outputs.size());
    fastest =
        std::min(fastest, std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  std::printf("ran in %.1f ms\n", fastest);

  for (std::size_t k = 0; k < found.size(); ++k) {
    auto info = found[k].GetTensorTypeAndShapeInfo();
    Array array{dtype_of(info.GetElementType()), info.GetShape(), {}};
    const char* start = static_cast<const char*>(found[k].GetTensorRawData());
    array.bytes.assign(start, start + info.GetElementCount() * width_of(array.dtype));
    print(made[k], array);
    if (folder.empty()) continue;
    std::string file = made[k];
    std::replace(file.begin(), file.end(), '/', '_');
    write_npy(folder + "/" + file + ".npy", array);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string model, folder, library;
  std::map<std::string, std::string> files;
  int runs = 1;
  try {
    for (int k = 1; k < argc; ++k) {
      std::string word = argv[k];
      auto equals = word.find('=');
      if (word == "-o" && k + 1 < argc) {
        folder = argv[++k];
      } else if (word == "-n" && k + 1 < argc) {
        runs = std::max(1, std::stoi(argv[++k]));
      } else if (word == "-l" && k + 1 < argc) {
        library = argv[++k];
      } else if (equals != std::string::npos) {
        files[word.substr(0, equals)] = word.substr(equals + 1);
      } else if (model.empty()) {
        model = word;
      } else {
        throw std::runtime_error("what is '" + word + "'?");
      }
    }
    if (model.empty())
      throw std::runtime_error(
          "explain MODEL.onnx [input=file.npy ...] [-o FOLDER] [-n RUNS] "
          "[-l LIBRARY]");
    run(model, files, folder, runs, library);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
