#include "identity.h"

#define FOUR(n) n, n + 1, n + 2, n + 3
#define SIXTEEN(n) FOUR(n), FOUR(n + 4), FOUR(n + 8), FOUR(n + 12)
#define SIXTY_FOUR(n) SIXTEEN(n), SIXTEEN(n + 16), SIXTEEN(n + 32), SIXTEEN(n + 48)

const int8_t kernel_identity_table[256] = {SIXTY_FOUR(-128), SIXTY_FOUR(-64), SIXTY_FOUR(0),
                                           SIXTY_FOUR(64)};
