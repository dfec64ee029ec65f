# wasmtime::wasmtime, the C API that third_party/wasmtime/build.sh leaves in build/wasmtime for all presets.
set(SEAM_WASMTIME ${CMAKE_SOURCE_DIR}/build/wasmtime CACHE PATH "where third_party/wasmtime/build.sh put wasmtime")
execute_process(COMMAND ${CMAKE_SOURCE_DIR}/third_party/wasmtime/build.sh --check ${SEAM_WASMTIME} RESULT_VARIABLE wasmtime_outdated)
if(wasmtime_outdated)
  message(FATAL_ERROR "wasmtime in ${SEAM_WASMTIME} is not what third_party/wasmtime names: run ./dev setup")
endif()

find_package(Threads REQUIRED)
add_library(wasmtime::wasmtime STATIC IMPORTED GLOBAL)
set_target_properties(wasmtime::wasmtime PROPERTIES
  IMPORTED_LOCATION ${SEAM_WASMTIME}/lib/libwasmtime.a
  INTERFACE_INCLUDE_DIRECTORIES ${SEAM_WASMTIME}/include
  INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
