// A process on the PC: its serial line is one TCP connection at a time to 127.0.0.1. It takes the
// port as its only argument and behaves like a board that has just been reset when it is started.
#include "board.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace board {
namespace {

int listener = -1;
int connection = -1;
int port;

// glibc hands main's arguments to constructors too, so that main() is the same on every board.
__attribute__((constructor)) void ReadArguments(int argc, char** argv, char**) {
  if (argc != 2 || std::sscanf(argv[1], "%d", &port) != 1) {
    std::fprintf(stderr, "usage: %s PORT\n", argv[0]);
    std::exit(2);
  }
}

uint64_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

void Accept() {
  if (connection >= 0) close(connection);
  connection = accept(listener, nullptr, nullptr);
  const int no_delay = 1;
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
}

}  // namespace

void Init() {
  std::signal(SIGPIPE, SIG_IGN);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  const int reuse = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 1) != 0) {
    std::perror("cannot listen");
    std::exit(1);
  }
}

const char* Name() { return "host"; }

size_t Read(uint8_t* data, size_t capacity) {
  for (;;) {
    const ssize_t size = connection < 0 ? 0 : read(connection, data, capacity);
    if (size > 0) return static_cast<size_t>(size);
    Accept();
  }
}

void Write(const uint8_t* data, size_t size) {
  while (size != 0) {
    const ssize_t written = write(connection, data, size);
    if (written <= 0) return;  // nobody listens
    data += written;
    size -= static_cast<size_t>(written);
  }
}

uint32_t Clock() { return static_cast<uint32_t>(Nanoseconds() / 1000); }
uint32_t Cost(uint32_t ticks) { return ticks; }
CostUnit Unit() { return CostUnit::kMicroseconds; }

uint32_t BootNumber() {
  static const uint32_t number = static_cast<uint32_t>(Nanoseconds() ^ Nanoseconds() >> 32) ^
                                 static_cast<uint32_t>(getpid()) << 16;
  return number;
}

uint32_t StackBytes() { return 0; }
uint32_t ChipId() { return 0; }
uint32_t ClockHz() { return 0; }

}  // namespace board
