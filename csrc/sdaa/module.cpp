// The Python module _sdaa. Loading it registers the kernels of this folder under PrivateUse1, so
// cornernet_ops/extension.py loads it only where that is SDAA.

#include <pybind11/pybind11.h>

PYBIND11_MODULE(_sdaa, m) {
  m.doc() = "The kernels of cornernet_ops for SDAA.";
}
