#pragma once
#include <cstdint>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <vector>

// Python types in, Python types out, nothing else: one file for each part of the engine.
namespace ltu {

namespace py = pybind11;
using namespace pybind11::literals;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Bytes = py::array_t<uint8_t, py::array::c_style | py::array::forcecast>;

py::array_t<float> array(std::vector<float> &&values, std::vector<py::ssize_t> shape); // takes the memory

void bind_sampling(py::module_ &m);
void bind_reading(py::module_ &m);
void bind_file(py::module_ &m);
void bind_engine(py::module_ &m);

class GgufFile;
py::dict metadata(const GgufFile &file); // all keys but the vocabulary's arrays

} // namespace ltu
