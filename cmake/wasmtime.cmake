# wasmtime::wasmtime, the C API that third_party/wasmtime/build.sh leaves in build/wasmtime for all presets.
set(SEAM_WASMTIME ${CMAKE_SOURCE_DIR}/build/wasmtime CACHE PATH "where third_party/wasmtime/build.sh put wasmtime")
if(NOT EXISTS ${SEAM_WASMTIME}/lib/libwasmtime.a)
  message(FATAL_ERROR "wasmtime is not built in ${SEAM_WASMTIME}: run ./dev setup")
endif()
file(READ ${CMAKE_SOURCE_DIR}/third_party/wasmtime/Cargo.toml wasmtime_manifest)
file(READ ${CMAKE_SOURCE_DIR}/third_party/wasmtime/Cargo.lock wasmtime_lock)
string(SHA256 wasmtime_wanted "${wasmtime_manifest}${wasmtime_lock}")
file(READ ${SEAM_WASMTIME}/stamp wasmtime_built)
string(STRIP "${wasmtime_built}" wasmtime_built)
if(NOT wasmtime_built STREQUAL wasmtime_wanted)
  message(FATAL_ERROR "wasmtime in ${SEAM_WASMTIME} was built from another Cargo.toml or Cargo.lock: run ./dev setup")
endif()

find_package(Threads REQUIRED)
add_library(wasmtime::wasmtime STATIC IMPORTED GLOBAL)
set_target_properties(wasmtime::wasmtime PROPERTIES
  IMPORTED_LOCATION ${SEAM_WASMTIME}/lib/libwasmtime.a
  INTERFACE_INCLUDE_DIRECTORIES ${SEAM_WASMTIME}/include
  INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
