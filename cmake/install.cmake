# What `cmake --install` puts where, and the Debian package that `cpack -G DEB` makes of it.
include(GNUInstallDirs)
install(TARGETS seam)
install(FILES README.md CHANGELOG.md SECURITY.md deploy/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
# In /etc for a prefix /usr or /usr/local, where the service reads it, and else below the prefix like the rest.
install(CODE "
  string(REGEX REPLACE \"/usr(/local)?/*$\" \"\" root \"\${CMAKE_INSTALL_PREFIX}\")
  file(INSTALL ${CMAKE_SOURCE_DIR}/deploy/seam.yaml DESTINATION \${root}/etc/seam)
")
# The engines that are libraries of their own: the program looks for them beside its folder.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/build/lib/seam/engines/ DESTINATION lib/seam/engines FILES_MATCHING PATTERN "*.so")
# At install time, when the prefix is known.
install(CODE "
  set(SEAM_BIN_DIR \${CMAKE_INSTALL_PREFIX}/bin)
  set(SEAM_DOC_DIR \${CMAKE_INSTALL_PREFIX}/share/doc/seam)
  set(unit \${CMAKE_INSTALL_PREFIX}/lib/systemd/system/seam.service)
  message(STATUS \"Installing: \$ENV{DESTDIR}\${unit}\")
  configure_file(${CMAKE_SOURCE_DIR}/deploy/systemd/seam.service.in \$ENV{DESTDIR}\${unit} @ONLY)
")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "The Seam authors <seam@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "function host for JavaScript, Python, Rust and WebAssembly")
set(CPACK_PACKAGE_DESCRIPTION
    "It runs functions in sandboxed workers behind one HTTP API, keeps\nversions and implementations of each, and records every call.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION web)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "nodejs (>= 18), python3 (>= 3.11)")
# To compile functions in Rust.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "rustc, libstd-rust-dev-wasm32, lld")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${CMAKE_SOURCE_DIR}/deploy/debian/postinst;${CMAKE_SOURCE_DIR}/deploy/debian/prerm;${CMAKE_SOURCE_DIR}/deploy/debian/postrm;${CMAKE_SOURCE_DIR}/deploy/debian/conffiles")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
