# The ladder, bottom rung first, and the two ways to put code on it.
#
# A module may use lower rungs only: never up, never sideways. An adapter implements an interface of its owner; only `cli`
# and tests may link it. A folder under src/ that holds sources and is declared by neither is an error.
#
# Which library headers a folder may include is declared beside it too, and checked by tests/layers: those of its VENDOR and
# EXPORTS libraries, by LIBRARY_HEADERS below, and HEADERS, which names further prefixes, as `boost/asio`, or
# `boost/asio@event_loop.cc` for one file only. Headers of EXPORTS are for whoever uses the module as well. Headers of the
# C++ library, of libc and of Linux need no declaration; gtest, gmock and benchmark belong to tests alone.

set(LADDER "base" "config metrics watch" "http process journal" "wasm store packages" "runtimes" "functions" "api" "cli")
# library as linked = prefixes of its headers. Boost's header-only libraries come by one target, so HEADERS names them.
set(LIBRARY_HEADERS
    "fmt::fmt=fmt" "spdlog::spdlog=spdlog" "Boost::json=boost/json boost/system" "Boost::url=boost/url"
    "OpenSSL::Crypto=openssl" "OpenSSL::SSL=openssl" "yaml-cpp=yaml-cpp" "CLI11::CLI11=CLI" "re2::re2=re2"
    "PkgConfig::re2=re2" "PkgConfig::sodium=sodium" "PkgConfig::seccomp=seccomp" "seccomp=seccomp" "SQLite::SQLite3=sqlite3" "sqlite3=sqlite3"
    "soci_core=soci" "soci_sqlite3=soci" "SOCI::soci_core=soci" "wasmtime::wasmtime=wasm wasmtime" "wasmi::wasmi=seam_wasmi" "wazero::wazero=seam_wazero" "ZLIB::ZLIB=zlib zconf"
     "PkgConfig::libarchive=archive archive_entry")

set_property(GLOBAL PROPERTY SEAM_EDGES "")
set_property(GLOBAL PROPERTY SEAM_FOLDERS "")
set_property(GLOBAL PROPERTY SEAM_MODULES "")

option(SEAM_BENCHES "build the benchmarks with the tests" ON)
option(SEAM_PRECOMPILE "read the common headers of the C++ library once" OFF)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)
add_custom_target(unit_tests)  # the programs of all tests labelled `unit`

function(rung_of name out)
  set(i 0)
  foreach(rung IN LISTS LADDER)
    separate_arguments(names UNIX_COMMAND "${rung}")
    if(name IN_LIST names)
      set(${out} ${i} PARENT_SCOPE)
      return()
    endif()
    math(EXPR i "${i}+1")
  endforeach()
  message(FATAL_ERROR "'${name}' is on no rung of LADDER in cmake/module.cmake")
endfunction()

function(seam_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
                                           -Wthread-safety)
  if(SEAM_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(SEAM_FUZZ AND NOT target MATCHES "_test$")  # what a fuzz target steers by; tests are no part of one
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  get_target_property(type ${target} TYPE)
  if(SEAM_PRECOMPILE AND NOT type STREQUAL SHARED_LIBRARY)
    # What a precompiled header was made with is what its users are compiled with. ccache takes it without its time.
    target_compile_options(${target} PRIVATE -fPIE -pthread -fpch-instantiate-templates "SHELL:-Xclang -fno-pch-timestamp")
    # The lowest module has the header of all, its test that of all tests.
    if(target STREQUAL base)
      target_precompile_headers(base PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h)
    elseif(target STREQUAL base_test)
      target_precompile_headers(base_test PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled_test.h)
    elseif(target MATCHES "_test$")
      target_precompile_headers(${target} REUSE_FROM base_test)
    else()
      target_precompile_headers(${target} REUSE_FROM base)
    endif()
  endif()
endfunction()

# seam_sources(path target [libraries of its tests]) builds src/<path>/*.cc but tests and benches, which become
# <target>_test and <target>_bench.
function(seam_sources path target)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${path}/*.cc)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${path}/*.h)
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  # The other headers of an engine's adapter include the engine's own, which no other target can.
  if(path MATCHES "^wasm/(.+)$")
    list(FILTER headers INCLUDE REGEX "/${CMAKE_MATCH_1}\\.h$")
  endif()
  # Those of a source are read alone with it, which includes its own first and is read so by clang-tidy.
  list(TRANSFORM sources REPLACE "\\.cc$" ".h" OUTPUT_VARIABLE read_with_source)
  set(alone ${headers})
  list(REMOVE_ITEM alone ${read_with_source})
  list(REMOVE_ITEM headers ${alone})
  target_sources(${target} PUBLIC
    FILE_SET HEADERS BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR} FILES ${headers}
    FILE_SET alone TYPE HEADERS BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR} FILES ${alone})
  set_target_properties(${target} PROPERTIES INTERFACE_HEADER_SETS_TO_VERIFY alone)
  seam_compile_options(${target})
  if(SEAM_TESTS AND tests)
    add_executable(${target}_test ${tests})
    target_link_libraries(${target}_test PRIVATE ${target} ${ARGN} GTest::gmock GTest::gtest_main)
    seam_compile_options(${target}_test)
    add_test(NAME ${target} COMMAND ${target}_test)
    set_tests_properties(${target} PROPERTIES LABELS unit TIMEOUT 300)
    add_dependencies(unit_tests ${target}_test)
  endif()
  if(SEAM_TESTS AND SEAM_BENCHES AND benches)
    add_executable(${target}_bench ${benches})
    target_link_libraries(${target}_bench PRIVATE ${target} ${ARGN} benchmark::benchmark_main)
    seam_compile_options(${target}_bench)
    add_test(NAME ${target}_bench COMMAND ${target}_bench --benchmark_min_time=0.001)
    set_tests_properties(${target}_bench PROPERTIES LABELS bench TIMEOUT 300)
  endif()
  set_property(GLOBAL APPEND PROPERTY SEAM_FOLDERS ${path})
endfunction()

# headers_of(out library…): the prefixes of these libraries' headers.
function(headers_of out)
  set(headers "")
  foreach(entry IN LISTS LIBRARY_HEADERS)
    string(REGEX MATCH "^(.*)=(.*)$" _ ${entry})
    if(CMAKE_MATCH_1 IN_LIST ARGN)
      separate_arguments(prefixes UNIX_COMMAND "${CMAKE_MATCH_2}")
      list(APPEND headers ${prefixes})
    endif()
  endforeach()
  set(${out} ${headers} PARENT_SCOPE)
endfunction()

# Keeps one line of edges.txt: fields split by tabs, lists by semicolons.
function(seam_edge kind path uses headers exports_headers test_uses)
  set_property(GLOBAL APPEND_STRING PROPERTY SEAM_EDGES
               "${kind}\t${path}\t${uses}\t${headers}\t${exports_headers}\t${test_uses}\n")
endfunction()

# Stops unless each of `used` stands below rung `mine`.
function(seam_check_uses name mine)
  foreach(used IN LISTS ARGN)
    rung_of(${used} theirs)
    if(NOT theirs LESS mine)
      message(FATAL_ERROR "${name} (rung ${mine}) may not use ${used} (rung ${theirs}): depend downward only")
    endif()
  endforeach()
endfunction()

# module(wasm USES base VENDOR Boost::json HEADERS boost/json) builds src/wasm/*.cc as target `wasm`; its public headers are
# src/wasm/*.h. VENDOR libraries are its own affair; EXPORTS are those that its headers show to all above. TEST_USES are
# further modules and adapters that only its tests and benches link.
function(module name)
  cmake_parse_arguments(M "" "" "USES;VENDOR;EXPORTS;HEADERS;TEST_USES" ${ARGN})
  rung_of(${name} mine)
  seam_check_uses(${name} ${mine} ${M_USES})
  seam_sources(${name} ${name} ${M_TEST_USES})
  target_link_libraries(${name} PUBLIC ${M_USES} ${M_EXPORTS} PRIVATE ${M_VENDOR})
  set_property(GLOBAL APPEND PROPERTY SEAM_MODULES ${name})
  headers_of(own ${M_VENDOR})
  headers_of(exported ${M_EXPORTS})
  seam_edge(module ${name} "${M_USES}" "${M_HEADERS};${own}" "${exported}" "${M_TEST_USES}")
endfunction()

# adapter(store/sqlite VENDOR lib) builds one implementation of an interface of `store` as target store_sqlite. It may use
# what `store` uses; USES names further modules, which stand below `store` as well.
function(adapter path)
  cmake_parse_arguments(A "" "" "USES;VENDOR;HEADERS;TEST_USES" ${ARGN})
  get_filename_component(owner ${path} DIRECTORY)
  string(REPLACE "/" "_" target ${path})
  rung_of(${owner} mine)
  seam_check_uses(${path} ${mine} ${A_USES})
  seam_sources(${path} ${target} ${A_TEST_USES})
  target_link_libraries(${target} PUBLIC ${owner} ${A_USES} PRIVATE ${A_VENDOR})
  headers_of(own ${A_VENDOR})
  seam_edge(adapter ${path} "${A_USES}" "${A_HEADERS};${own}" "" "${A_TEST_USES}")
endfunction()

# Refuses a folder of sources that nothing declared, and writes the edges for tests/layers.
function(seam_check_folders)
  get_property(declared GLOBAL PROPERTY SEAM_FOLDERS)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}
       ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  foreach(source IN LISTS sources)
    get_filename_component(folder ${source} DIRECTORY)
    if(NOT folder IN_LIST declared)
      message(FATAL_ERROR "src/${source} lies in a folder that src/CMakeLists.txt does not declare: add "
                          "module(${folder} …) or adapter(${folder} …)")
    endif()
  endforeach()
  get_property(edges GLOBAL PROPERTY SEAM_EDGES)
  file(WRITE ${CMAKE_BINARY_DIR}/edges.txt "${edges}")
endfunction()
