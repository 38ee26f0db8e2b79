// The entry of boards where only the compiler's start-up code runs before the firmware.
#include "firmware.h"

int main() { RunFirmware(); }
