// The Python module _C. Loading it registers the kernels of the folders beside this file; what it
// offers itself is what it was built with.

#include <pybind11/pybind11.h>

#include <string>

namespace {

pybind11::dict build_info() {
  pybind11::dict info;
  info["torch"] = CORNERNET_TORCH_VERSION;
  info["devices"] = CORNERNET_DEVICES;
  info["compiler"] =
#if defined(__clang__)
      "clang " __clang_version__;
#elif defined(__GNUC__)
      "gcc " __VERSION__;
#else
      "unknown";
#endif
  info["standard"] = static_cast<long>(__cplusplus);
  info["flags"] = CORNERNET_FLAGS;
#if defined(_OPENMP)
  info["openmp"] = static_cast<long>(_OPENMP);
#else
  info["openmp"] = "none: the kernels run on one thread";
#endif
  return info;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.doc() = "The compiled kernels of cornernet_ops.";
  m.def("build_info", &build_info, "What this module was compiled with, as a dict.");
}
