# Writes OUTPUT, a header with the id of the sources that go into the harness, and only where it changed.
# The rule, the same as source_digest in orchestrator/bundle/digest.py (a test compares the two):
#   the files are CMakeLists.txt, CMakePresets.json and every *.c, *.h, *.S, *.cpp, *.cmake below cmake, include,
#   kernel, baseline, explore, harness and bench, without those named test_*;
#   each gives one line "<sha256 of the file>  <path with />\n", the lines sorted by path as bytes;
#   the id is the first 16 hex digits of the SHA-256 of these lines.
cmake_minimum_required(VERSION 3.22)

if("${ID}" STREQUAL "")
  set(patterns "")
  foreach(folder IN ITEMS cmake include kernel baseline explore harness bench)
    foreach(suffix IN ITEMS c h S cpp cmake)
      list(APPEND patterns "${SOURCE}/${folder}/*.${suffix}")
    endforeach()
  endforeach()
  file(GLOB_RECURSE files LIST_DIRECTORIES false RELATIVE "${SOURCE}" ${patterns})
  foreach(name IN ITEMS CMakeLists.txt CMakePresets.json)
    if(EXISTS "${SOURCE}/${name}")
      list(APPEND files "${name}")
    endif()
  endforeach()
  list(FILTER files EXCLUDE REGEX "(^|/)test_[^/]*$")
  list(SORT files COMPARE STRING CASE SENSITIVE ORDER ASCENDING)
  set(lines "")
  foreach(file IN LISTS files)
    file(SHA256 "${SOURCE}/${file}" digest)
    string(APPEND lines "${digest}  ${file}\n")
  endforeach()
  string(SHA256 whole "${lines}")
  string(SUBSTRING "${whole}" 0 16 ID)
endif()

set(text "#define ORCH_BUILD_ID \"${ID}\"\n")
set(before "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE "${OUTPUT}" "${text}")
endif()
