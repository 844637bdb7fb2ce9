// An allocation of a page that fails on purpose: fail_page_alloc with fail-nth (Documentation/fault-injection).
#pragma once

#include <functional>

namespace faultline {

// While this lives, the `nth` allocation of a page by the calling thread fails, and no other one. 0: none.
class PageFailure {
 public:
  // `warm` goes the way of the request, up to the driver: what the thread itself touches for the first time there (its stack, code,
  // page tables) would be counted.
  PageFailure(int nth, const std::function<void()>& warm);
  ~PageFailure();
  PageFailure(const PageFailure&) = delete;
  PageFailure& operator=(const PageFailure&) = delete;

  int error() const { return error_; }  // why it cannot be asked for, an errno; 0: nothing

 private:
  void ask_for(int nth);

  int file_ = -1;
  int error_ = 0;
};

// Whether each allocation of a page can fail: the kernel has fail_page_alloc, this process may use it, and its knobs leave no
// allocation out.
bool has_page_failures();

// Sets these knobs. They are the machine's, so for the virtual lab only; but nothing fails unless a thread asks for it.
void allow_page_failures();

}  // namespace faultline
