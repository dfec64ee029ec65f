# wasmi::wasmi, the header of the library that third_party/wasmi/build.sh leaves in build/lib/seam/engines for all presets.
# Nothing links it: src/wasm/wasmi opens it while the program runs.
add_library(wasmi::wasmi INTERFACE IMPORTED GLOBAL)
set_target_properties(wasmi::wasmi PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR}/third_party/wasmi)
