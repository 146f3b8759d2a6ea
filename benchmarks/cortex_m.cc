/* Starts a program on the boards mps2-an385 and mps2-an500 of QEMU, and counts the instructions of
 * each inference: the linker puts `__wrap_` in place of `MicroInterpreter::Invoke`, whose status is an int.
 *
 * QEMU with `-icount shift=0` lets one nanosecond pass with each instruction. The timer of the
 * boards runs at 25 MHz, so it counts down once in 40 instructions.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#define INVOKE _ZN6tflite16MicroInterpreter6InvokeEv
#define JOINED(prefix, name) prefix##name
#define NAMED(prefix, name) JOINED(prefix, name)

namespace {

struct Timer {
  volatile uint32_t control, value, reload;
};

Timer& timer = *reinterpret_cast<Timer*>(0x40000000);
constexpr uint32_t kInstructions = 40;  // a tick
constexpr uint32_t kLoops = 500000;     // of two instructions

template <class Function>
auto counted(const char* what, Function function) {
  timer.value = timer.reload = UINT32_MAX;
  timer.control = 1;
  const uint32_t start = timer.value;
  auto result = function();
  const uint32_t ticks = start - timer.value;
  std::printf("%s: %llu instructions\n", what, 1ull * kInstructions * ticks);
  return result;
}

}  // namespace

extern "C" {

extern uint32_t __stack;
[[noreturn]] void _start();
int NAMED(__real_, INVOKE)(void* interpreter);

int NAMED(__wrap_, INVOKE)(void* interpreter) {
  static const int known = counted("1,000,000 known", [] {
    uint32_t loops = kLoops;
    __asm__ volatile("1: subs %0, #1\n bne 1b" : "+r"(loops) : : "cc");
    return 0;
  });
  (void)known;
  return counted("inference", [&] { return NAMED(__real_, INVOKE)(interpreter); });
}

[[noreturn]] void reset() {
  *reinterpret_cast<volatile uint32_t*>(0xE000ED88) |= 0xF << 20;  // switches the FPU on
  __asm__ volatile("dsb\n isb");
  _start();
}

[[noreturn]] void fault() { std::_Exit(9); }

__attribute__((section(".vectors"), used)) const void* const vectors[] = {
    &__stack, reinterpret_cast<void*>(reset), reinterpret_cast<void*>(fault),
    reinterpret_cast<void*>(fault),
};

}  // extern "C"
