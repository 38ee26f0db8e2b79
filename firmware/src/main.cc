// Where nothing but the compiler's start-up comes before the firmware.
#include "firmware.h"

int main() { RunFirmware(); }
