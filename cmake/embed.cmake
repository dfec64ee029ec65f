# seam_embed(target NAME name FILE path) makes the bytes of a file part of `target` as
# `std::string_view NAME()` in namespace seam::embedded, declared by the source that uses it.
# With `TARGET library` in place of FILE, the bytes of a shared library that is built first.
function(seam_embed target)
  cmake_parse_arguments(E "" "NAME;FILE;TARGET" "" ${ARGN})
  if(E_TARGET)
    get_target_property(folder ${E_TARGET} LIBRARY_OUTPUT_DIRECTORY)
    set(E_FILE ${folder}/${CMAKE_SHARED_LIBRARY_PREFIX}${E_TARGET}${CMAKE_SHARED_LIBRARY_SUFFIX})
    add_dependencies(${target} ${E_TARGET})
  endif()
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embedded/${E_NAME}.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
#include <string_view>
asm(R"(
  .section .rodata
  .global seam_embedded_@E_NAME@
  .global seam_embedded_@E_NAME@_end
seam_embedded_@E_NAME@:
  .incbin "@E_FILE@"
seam_embedded_@E_NAME@_end:
  .byte 0
  .previous
)");
extern "C" const char seam_embedded_@E_NAME@[];
extern "C" const char seam_embedded_@E_NAME@_end[];
namespace seam::embedded {
std::string_view @E_NAME@() {
  return {seam_embedded_@E_NAME@, static_cast<std::size_t>(seam_embedded_@E_NAME@_end - seam_embedded_@E_NAME@)};
}
}  // namespace seam::embedded
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${E_FILE} SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE ${source})
endfunction()
