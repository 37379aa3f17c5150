#!/bin/sh
# compile_as_native.sh COMPILER ARGUMENT...: the compiler, called from the build folder, with every name below the source
# folder written as native/..., through the link of that name that lies there.
for argument; do
  shift
  case $argument in
    "@CMAKE_SOURCE_DIR@/"*) argument=native/${argument#"@CMAKE_SOURCE_DIR@/"} ;;
    "-I@CMAKE_SOURCE_DIR@/"*) argument=-Inative/${argument#"-I@CMAKE_SOURCE_DIR@/"} ;;
  esac
  set -- "$@" "$argument"
done
exec "$@"
