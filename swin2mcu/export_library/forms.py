"""The files that each build system needs in addition to the sources."""

from __future__ import annotations

import json
from collections.abc import Iterable

from swin2mcu.common.card import Card
from swin2mcu.common.paths import ROOT

VERSION = "1.0.0"  # of the library's interface
NAME = "swin2mcu"

CAMERA_COMPONENT = """dependencies:
  idf: ">=5.3"
  espressif/esp32-camera: "==2.0.15"
"""

FILL = """// Your picture goes here: the byte of a channel of a pixel, at the size of the input.
// For a camera's frame of another size or format see vision/vision.h.
static uint8_t pixel_of(uint16_t y, uint16_t x, uint16_t channel) {
  return (uint8_t)(channel == 1 ? 96 + (x + y) % 64 : 48);
}

static void fill(int8_t* input) {
  for (uint16_t y = 0; y < swin2mcu_facts.height; ++y) {
    for (uint16_t x = 0; x < swin2mcu_facts.width; ++x) {
      for (uint16_t c = 0; c < swin2mcu_facts.channels; ++c) {
        *input++ = (int8_t)(pixel_of(y, x, c) - 128);
      }
    }
  }
}
"""

EXAMPLE_C = f"""// Runs the self-test, then classifies one picture.
#include <stdio.h>

#include "swin2mcu.h"

{FILL}
int main(void) {{
  if (!swin2mcu_self_test()) {{
    printf("self-test FAILED: this build does not compute what was trained\\n");
    return 1;
  }}
  printf("self-test passed: %s, %u classes, %lu bytes of RAM\\n", swin2mcu_facts.name,
         (unsigned)swin2mcu_facts.class_count, (unsigned long)swin2mcu_facts.arena_bytes);
  fill(swin2mcu_input());
  const Swin2mcuAnswer answer = swin2mcu_classify();
  printf("%s%s %d%%\\n", answer.sure ? "" : "not sure: ", answer.label,
         (int)(100 * answer.probability + 0.5f));
  return 0;
}}
"""

EXAMPLE_ESP = (
    EXAMPLE_C.replace("int main(void) {", "void app_main(void) {")
    .replace("    return 1;\n", "    return;\n")
    .replace("  return 0;\n", "")
)

# The component lies two folders above its examples. ESP-IDF gives a folder named main every other
# component of the project.
ESP_PROJECT = """cmake_minimum_required(VERSION 3.16)
set(EXTRA_COMPONENT_DIRS ${{CMAKE_CURRENT_LIST_DIR}}/../..)
include($ENV{{IDF_PATH}}/tools/cmake/project.cmake)
project({name})
"""
ESP_SETTINGS = """CONFIG_COMPILER_OPTIMIZATION_PERF=y
CONFIG_ESP_MAIN_TASK_STACK_SIZE=16384
CONFIG_ESPTOOLPY_FLASHSIZE_8MB=y
CONFIG_PARTITION_TABLE_CUSTOM=y
CONFIG_PARTITION_TABLE_CUSTOM_FILENAME="partitions.csv"
"""
# A frame of the camera lies in PSRAM; the XIAO's is octal.
XIAO_SETTINGS = """CONFIG_IDF_TARGET="esp32s3"
CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ_240=y
CONFIG_SPIRAM=y
CONFIG_SPIRAM_MODE_OCT=y
CONFIG_SPIRAM_SPEED_80M=y
"""
# ESP-IDF's own table has 1 MB for the application, which is less than most networks' weights.
PARTITIONS = ROOT / "firmware/src/boards/esp32s3/partitions.csv"

EXAMPLE_INO = f"""// Runs the self-test at start, then classifies one picture every second.
#include <swin2mcu.h>

{FILL}
void setup() {{
  Serial.begin(115200);
  Serial.println(swin2mcu_self_test() ? "self-test passed" : "self-test FAILED");
}}

void loop() {{
  fill(swin2mcu_input());
  const Swin2mcuAnswer answer = swin2mcu_classify();
  if (!answer.sure) Serial.print("not sure: ");
  Serial.println(answer.label);
  delay(1000);
}}
"""


def readme(card: Card) -> str:
    """The text of the library's README.md."""
    height, width, channels = card.input_shape
    sure = (
        "`sure` is false where the picture may show something else (fitted on validation photos)."
        if card.calibration
        else "The model ends with a softmax and cannot be calibrated, so `sure` is always true."
        if card.gives_probabilities
        else "The model was not calibrated (`swin2mcu calibrate`), so `sure` is always true."
    )
    frames = (
        "A camera's frame (RGB565, RGB888, gray, YUV422) becomes the input row by row with\n"
        "`vision/vision.h`, with the resize that `swin2mcu predict` uses.\n"
        if channels == 3
        else "One channel is gray: (19595 R + 38470 G + 7471 B + 32768) / 65536.\n"
    )
    return f"""# {card.name} as a C library

Input: {height} x {width} x {channels} bytes, each pixel - 128. Classes: {", ".join(card.classes)}.

    swin2mcu_self_test()   call it once: are the logits of an embedded picture those of the PC?
    swin2mcu_input()       the input buffer: fill it before each answer
    swin2mcu_classify()    the answer: class, label, probability, sure
    swin2mcu_logits()      the int8 logits of the last answer

{sure}
{frames}License: see LICENSE. A program can link only one such library.
"""


# Cortex-M's inline assembly needs more registers than a compiler leaves free that does not optimize
# (as CMake without a build type), or that keeps a frame pointer.
CORTEX_OPTIONS = f"""target_compile_options({NAME} PRIVATE
  $<$<COMPILE_LANGUAGE:C>:-O2> $<$<COMPILE_LANGUAGE:C>:-fomit-frame-pointer>)
"""


def esp_project(name: str, source: str, settings: str) -> dict[str, str]:
    """An example of the ESP-IDF component: a project that `idf.py build` takes as it is."""
    files = {
        "CMakeLists.txt": ESP_PROJECT.format(name=name),
        "sdkconfig.defaults": settings,
        "partitions.csv": PARTITIONS.read_text(encoding="utf-8"),
        "main/CMakeLists.txt": f"idf_component_register(SRCS {name}.c)\n",
        f"main/{name}.c": source,
    }
    return {f"examples/{name}/{path}": text for path, text in files.items()}


def form_files(form: str, sources: Iterable[str], card: Card) -> dict[str, str]:
    """Path → text of the files that `form` needs in addition to src/, which holds `sources`."""
    compiled = sorted(f"src/{path}" for path in sources if path.endswith((".c", ".S")))
    listed = "\n".join(f"  {path}" for path in compiled)
    files = {"README.md": readme(card)}
    if form == "cmake":
        files["examples/classify.c"] = EXAMPLE_C
        languages = "C ASM" if any(path.endswith(".S") for path in compiled) else "C"
        inline = any(core in path for path in compiled for core in ("/dsp/", "/helium/"))
        options = CORTEX_OPTIONS if inline else ""
        files["CMakeLists.txt"] = f"""cmake_minimum_required(VERSION 3.16)
project({NAME} {languages})
add_library({NAME} STATIC
{listed})
target_include_directories({NAME} PUBLIC src)
target_compile_features({NAME} PUBLIC c_std_11)
{options}if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  add_executable(classify examples/classify.c)
  target_link_libraries(classify {NAME})
  enable_testing()
  add_test(NAME self_test COMMAND classify)
endif()
"""
    elif form == "esp-idf":
        files |= esp_project("classify", EXAMPLE_ESP, ESP_SETTINGS)
        if card.input_shape[2] == 3:
            camera = (ROOT / "firmware/lib/library/xiao_camera.c").read_text(encoding="utf-8")
            files |= esp_project("xiao_camera", camera, ESP_SETTINGS + XIAO_SETTINGS)
            files["examples/xiao_camera/main/idf_component.yml"] = CAMERA_COMPONENT
        files["idf_component.yml"] = f'version: "{VERSION}"\ndescription: {NAME} classifier\n'
        files["CMakeLists.txt"] = f"""idf_component_register(
  SRCS
{listed}
  INCLUDE_DIRS src)
target_compile_options(${{COMPONENT_LIB}} PRIVATE -O2)
"""
    elif form == "arduino":
        files["examples/Classify/Classify.ino"] = EXAMPLE_INO
        files["library.properties"] = f"""name={NAME}
version={VERSION}
author=swin2mcu
maintainer=swin2mcu
sentence=An image classifier as ahead-of-time C.
paragraph=No interpreter and no heap. Fill the input and ask for the answer, or "not sure".
category=Data Processing
url=
architectures=*
includes={NAME}.h
"""
    else:
        files["examples/classify/main.c"] = EXAMPLE_C
        manifest = {
            "name": NAME,
            "version": VERSION,
            "description": "An image classifier as ahead-of-time C",
            "license": "Apache-2.0",
            "build": {"srcDir": "src", "includeDir": "src", "flags": ["-O2"]},
        }
        files["library.json"] = json.dumps(manifest, indent=2) + "\n"
    return files
