# ggml as static libraries: a pinned source release, checked by hash and built once per processor, compiler and set of
# options into the user's cache, so that a second build of this project takes seconds.
set(GGML_RELEASE 0.0.45) # of the PyPI package ggml-python, which carries ggml 0.15.3 under vendor/ggml
set(GGML_SHA256 10aac52075cf3c7ef2b00d6c35b1c23f7b018dbeff8ae8df67339b4be1166f05)

if(DEFINED ENV{XDG_CACHE_HOME})
  set(LTU_CACHE "$ENV{XDG_CACHE_HOME}/ltu")
else()
  set(LTU_CACHE "$ENV{HOME}/.cache/ltu")
endif()
string(TIMESTAMP now "%s%f")
string(RANDOM LENGTH 12 scratch) # two builds at once don't meet
set(scratch "${LTU_CACHE}/tmp-${now}-${scratch}")

# Renames a finished folder into its place; another build may have been quicker, then its folder serves as well.
function(ltu_publish FROM TO)
  if(NOT EXISTS "${TO}")
    file(RENAME "${FROM}" "${TO}" RESULT result)
    if(result AND NOT EXISTS "${TO}")
      message(FATAL_ERROR "Cannot move ${FROM} to ${TO}: ${result}")
    endif()
  endif()
endfunction()

function(ltu_run WHAT)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(result)
    file(REMOVE_RECURSE "${scratch}")
    message(FATAL_ERROR "${WHAT} failed:\n${output}")
  endif()
endfunction()

# 1. The source: the user's own tree, or the pinned release.
if(LTU_GGML_SOURCE)
  set(ggml_source "${LTU_GGML_SOURCE}")
  file(GLOB_RECURSE files LIST_DIRECTORIES false "${ggml_source}/CMakeLists.txt" "${ggml_source}/src/*" "${ggml_source}/include/*")
  set(source_key "")
  foreach(file IN LISTS files)
    file(SHA256 "${file}" digest)
    string(SHA256 source_key "${source_key}${digest}")
  endforeach()
else()
  set(source_key "${GGML_SHA256}")
  set(ggml_source "${LTU_CACHE}/ggml-python-${GGML_RELEASE}/vendor/ggml")
  if(NOT EXISTS "${ggml_source}/CMakeLists.txt")
    find_package(Python 3.10 COMPONENTS Interpreter REQUIRED)
    message(STATUS "LTU: fetching the ggml source release (ggml-python ${GGML_RELEASE})")
    ltu_run("Fetching ggml (offline? give -DLTU_GGML_SOURCE=DIR)"
      "${Python_EXECUTABLE}" -m pip download --quiet --no-deps --no-build-isolation --no-binary :all:
      --disable-pip-version-check --dest "${scratch}" "ggml-python==${GGML_RELEASE}")
    file(GLOB archive "${scratch}/ggml_python-*.tar.gz")
    file(SHA256 "${archive}" digest)
    if(NOT digest STREQUAL GGML_SHA256)
      message(FATAL_ERROR "${archive}: SHA-256 is ${digest}, expected ${GGML_SHA256}")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${archive}" DESTINATION "${scratch}")
    ltu_publish("${scratch}/ggml_python-${GGML_RELEASE}" "${LTU_CACHE}/ggml-python-${GGML_RELEASE}")
    file(REMOVE_RECURSE "${scratch}")
  endif()
endif()

# 2. What the objects depend on: the macros that the compiler defines for this processor name its features.
if(LTU_NATIVE)
  set(arch_flag -march=native)
  if(APPLE)
    set(arch_flag -mcpu=native)
  endif()
  set(ggml_arch -DGGML_NATIVE=ON)
else()
  set(arch_flag "")
  set(ggml_arch -DGGML_NATIVE=OFF)
endif()
execute_process(COMMAND "${CMAKE_C_COMPILER}" ${arch_flag} -dM -E -x c /dev/null OUTPUT_VARIABLE macros)
set(ggml_options ${ggml_arch} -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON
  -DCMAKE_C_VISIBILITY_PRESET=hidden -DCMAKE_CXX_VISIBILITY_PRESET=hidden -DCMAKE_INSTALL_LIBDIR=lib
  -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF -DGGML_CCACHE=OFF -DGGML_CPU_REPACK=OFF -DGGML_OPENMP=OFF)
file(GLOB known LIST_DIRECTORIES true RELATIVE "${ggml_source}/src" "${ggml_source}/src/ggml-*/CMakeLists.txt")
list(TRANSFORM known REPLACE "ggml-(.*)/CMakeLists.txt" "\\1")
list(TRANSFORM known TOUPPER)
list(REMOVE_ITEM known CPU)
foreach(backend IN LISTS backends)
  if(NOT backend IN_LIST known)
    message(FATAL_ERROR "LTU_BACKENDS has ${backend}; this ggml knows ${known}")
  endif()
  list(APPEND ggml_options "-DGGML_${backend}=ON")
endforeach()
if(CUDA IN_LIST backends)
  list(APPEND ggml_options "-DCMAKE_CUDA_COMPILER=${LTU_NVCC}" -DGGML_CUDA_NCCL=OFF
    -DGGML_CUDA_GRAPHS=ON) # decoding a token at a time is bound by launches; off unless asked for outside llama.cpp
  foreach(variable CMAKE_CUDA_ARCHITECTURES CMAKE_CUDA_FLAGS CUDA_cublas_LIBRARY CUDA_cublasLt_LIBRARY GGML_CUDA_NO_VMM)
    if(DEFINED ${variable})
      list(APPEND ggml_options "-D${variable}=${${variable}}")
    endif()
  endforeach()
endif()
string(SHA256 key "${source_key};${CMAKE_C_COMPILER_VERSION};${CMAKE_CXX_COMPILER_VERSION};${ggml_options};${macros}")
string(SUBSTRING "${key}" 0 16 key)
set(ggml_prefix "${LTU_CACHE}/ggml-${key}")

# 3. The libraries.
if(NOT EXISTS "${ggml_prefix}")
  message(STATUS "LTU: building ggml (once; kept in ${ggml_prefix})")
  # 139 compilers of CUDA took 49 GB at once; a gigabyte for each leaves room.
  cmake_host_system_information(RESULT jobs QUERY NUMBER_OF_LOGICAL_CORES)
  cmake_host_system_information(RESULT megabytes QUERY AVAILABLE_PHYSICAL_MEMORY)
  math(EXPR most_jobs "1 + ${megabytes} / 1000")
  if(jobs GREATER most_jobs)
    set(jobs ${most_jobs})
  endif()
  ltu_run("Configuring ggml" "${CMAKE_COMMAND}" -G "${CMAKE_GENERATOR}" "-DCMAKE_MAKE_PROGRAM=${CMAKE_MAKE_PROGRAM}"
    "-DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}" "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" ${ggml_options}
    "-DCMAKE_INSTALL_PREFIX=${scratch}/prefix" -S "${ggml_source}" -B "${scratch}/build")
  ltu_run("Building ggml" "${CMAKE_COMMAND}" --build "${scratch}/build" --parallel ${jobs} --target install)
  ltu_publish("${scratch}/prefix" "${ggml_prefix}")
  file(REMOVE_RECURSE "${scratch}")
endif()
# The package looks for its libraries by name wherever CMake looks, and llama-cpp-python installs others of these names
# beside pybind11: ours come first, whatever an earlier configuration found.
list(TRANSFORM backends PREPEND GGML_ OUTPUT_VARIABLE libraries)
foreach(library GGML GGML_BASE GGML_CPU ${libraries})
  unset(${library}_LIBRARY CACHE)
endforeach()
list(PREPEND CMAKE_PREFIX_PATH "${ggml_prefix}")
find_package(ggml CONFIG REQUIRED PATHS "${ggml_prefix}" NO_DEFAULT_PATH)
if(TARGET ggml::ggml-cuda) # ggml names what it needs for static CUDA libraries alone
  target_link_libraries(ggml::ggml-cuda INTERFACE CUDA::cudart CUDA::cublas)
endif()
