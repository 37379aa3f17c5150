# The program of the explorer: every scenario in one static file. Scenarios include the sources that they are over, so all but a
# scenario's own constructor is made local to it; otherwise one would call the kernel of another.
if(NOT CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  message(FATAL_ERROR "orch: the explorer's coroutines are written for x86-64, not ${CMAKE_SYSTEM_PROCESSOR}")
endif()
if(NOT CMAKE_OBJCOPY)
  message(FATAL_ERROR "orch: the explorer needs objcopy, which comes with the compiler's binutils")
endif()
add_library(explore_flags INTERFACE)
target_compile_definitions(explore_flags INTERFACE "ORCH_ATOMICS_BACKEND=\"atomics_explore.h\"")
target_include_directories(explore_flags INTERFACE "${CMAKE_SOURCE_DIR}/include" "${CMAKE_SOURCE_DIR}/explore")
target_link_libraries(explore_flags INTERFACE orch_flags)

# Of one's own, instead of the kernel's: absolute paths (tools/explore_own.py).
if(ORCH_SCENARIOS)
  set(explorer_scenarios ${ORCH_SCENARIOS})
else()
  file(GLOB explorer_scenarios CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/explore/scenario_*.c")
endif()
foreach(source IN LISTS explorer_scenarios)
  get_filename_component(name "${source}" NAME_WE)
  add_library(${name} OBJECT "${source}")
  target_link_libraries(${name} PRIVATE explore_flags)
  set(made "${CMAKE_BINARY_DIR}/${name}.local.o")
  add_custom_command(OUTPUT "${made}"
    COMMAND "${CMAKE_OBJCOPY}" --keep-global-symbol=orch_none "$<TARGET_OBJECTS:${name}>" "${made}"
    DEPENDS ${name} "$<TARGET_OBJECTS:${name}>" VERBATIM)
  set_source_files_properties("${made}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_sources(orch-harness PRIVATE "${made}")
endforeach()

file(GLOB explorer_program CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/explore/explore_*.c" "${CMAKE_SOURCE_DIR}/explore/program*.c")
target_sources(orch-harness PRIVATE ${explorer_program})
target_link_libraries(orch-harness PRIVATE explore_flags)
target_link_options(orch-harness PRIVATE -static)
