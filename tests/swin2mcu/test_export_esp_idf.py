"""The ESP-IDF form: its examples are whole projects; ESP-IDF itself is not here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exported import STRICT, build_with_cmake, execute, export

from swin2mcu.common.paths import ROOT
from swin2mcu.export_library.__main__ import main

FIRMWARE = ROOT / "firmware"
TESTS = ROOT / "tests"


# A stand-in for $IDF_PATH/tools/cmake/project.cmake: it builds what a project registers.
IDF = """function(idf_component_register)
  cmake_parse_arguments(IDF "" "" "SRCS;INCLUDE_DIRS;REQUIRES" ${ARGN})
  if(IDF_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "not an argument: ${IDF_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(name ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  set(COMPONENT_LIB ${name} PARENT_SCOPE)
  add_library(${name} STATIC ${IDF_SRCS})
  target_include_directories(${name} PUBLIC ${IDF_INCLUDE_DIRS})
endfunction()
macro(project name)
  _project(${name} C)
  foreach(component ${EXTRA_COMPONENT_DIRS})
    get_filename_component(component ${component} ABSOLUTE)
    get_filename_component(library ${component} NAME)
    add_subdirectory(${component} component)
  endforeach()
  add_subdirectory(main)
  target_link_libraries(main ${library})
  file(WRITE ${CMAKE_BINARY_DIR}/app.c "void app_main(void);\nint main(void) { app_main(); }\n")
  add_executable(app ${CMAKE_BINARY_DIR}/app.c)
  target_link_libraries(app main)
endmacro()
"""


def test_an_esp_idf_project_against_declarations(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ESP-IDF is not here: a stand-in for its CMake builds the example as it lies there."""
    library = export(model_folder, "esp-idf", tmp_path / "swin2mcu")
    stand_in = tmp_path / "idf" / "tools" / "cmake"
    stand_in.mkdir(parents=True)
    (stand_in / "project.cmake").write_text(IDF)
    monkeypatch.setenv("IDF_PATH", str(tmp_path / "idf"))
    build_with_cmake(library / "examples" / "classify", tmp_path / "build")
    assert "self-test passed" in execute([tmp_path / "build" / "app"])


@pytest.mark.parametrize("example", ["classify", "xiao_camera"])
def test_an_esp_idf_example_is_a_whole_project(
    example: str, model_folder: Path, tmp_path: Path
) -> None:
    library = export(model_folder, "esp-idf", tmp_path / "swin2mcu", "--core", "pie")
    project = library / "examples" / example
    (source,) = re.findall(r"SRCS (\S+)\)", (project / "main" / "CMakeLists.txt").read_text())
    assert (project / "main" / source).is_file()
    settings = (project / "sdkconfig.defaults").read_text()
    (table,) = re.findall(r'TABLE_CUSTOM_FILENAME="(.*)"', settings)
    app = re.search(r"^factory, .*, (0x\w+)$", (project / table).read_text(), re.MULTILINE)
    weights = max(path.stat().st_size for path in (ROOT / "tinyml" / "zoo").glob("*/*.tflite"))
    assert app and weights < int(app[1], 16) - 500_000
    assert ("SPIRAM_MODE_OCT=y" in settings) == (example == "xiao_camera")
    # The component compiles what the firmware's own build compiles for this chip.
    registered = re.findall(r"^  (src/\S+)$", (library / "CMakeLists.txt").read_text(), re.M)
    assert registered and all((library / path).is_file() for path in registered)
    pie = {p.name for p in (FIRMWARE / "lib" / "kernels" / "pie").iterdir() if p.suffix in ".c.S"}
    assert {Path(path).name for path in registered if "/pie/" in path} == pie
    assert main([str(model_folder), "--as", "cmake", "--core", "pie"]) == 2


def test_the_camera_application_against_declarations(model_folder: Path, tmp_path: Path) -> None:
    """Never run: neither the camera nor its component is here."""
    library = export(model_folder, "esp-idf", tmp_path / "swin2mcu")
    camera = library / "examples" / "xiao_camera" / "main"
    assert "==" in (camera / "idf_component.yml").read_text()
    includes = [f"-I{library / 'src'}", f"-I{TESTS / 'firmware' / 'vendor' / 'esp32_camera'}"]
    target = tmp_path / "camera.o"
    source = camera / "xiao_camera.c"
    execute(["gcc", "-std=gnu11", *STRICT.split(), *includes, "-c", source, "-o", target])
