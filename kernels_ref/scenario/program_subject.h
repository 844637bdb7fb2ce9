// A Program as a Subject: its threads run the kernel functions of this folder on the modelled machine.
#pragma once

#include <atomic>

#include "kernels_ref/engine/subject.h"
#include "kernels_ref/scenario/shape.h"

namespace faultline::ref {

class ProgramSubject : public Subject {
 public:
  explicit ProgramSubject(const Shape& shape);

  int threads() const override;
  std::size_t shared_bytes() const override { return sizeof(World); }
  void start(void* world) const override;
  Task<void> thread(void* world, Suspension* place, int thread) const override;
  bool arrive(void* world) const override;
  bool unfinished(const void* world, int thread) const override;

  const Shape& shape() const { return shape_; }
  // What any execution so far ran into: bit per Broken, bit per MetBug.
  std::uint32_t broken() const { return broken_; }
  std::uint32_t known_bugs() const { return known_bugs_; }

 private:
  int program_threads() const { return static_cast<int>(shape_.program->threads.size()); }

  Shape shape_;
  bool weather_ = false;  // kernel_weather runs beside the program
  bool works_ = false;    // the driver's workers run beside it
  mutable std::atomic<std::uint32_t> broken_ = 0;
  mutable std::atomic<std::uint32_t> known_bugs_ = 0;
};

}  // namespace faultline::ref
