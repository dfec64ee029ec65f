# wazero::wazero, the header of the library that third_party/wazero/build.sh leaves in build/lib/seam/engines for all presets.
# Nothing links it: src/wasm/wazero opens it while the program runs.
add_library(wazero::wazero INTERFACE IMPORTED GLOBAL)
set_target_properties(wazero::wazero PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR}/third_party/wazero)
