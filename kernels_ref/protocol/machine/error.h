// Error codes as text.
#pragma once

#include <cerrno>
#include <string>

namespace faultline::ref::protocol {

// "-EBUSY" for a positive errno, "0" for 0.
inline std::string error_text(int error) {
  switch (error) {
    case 0: return "0";
    case EINVAL: return "-EINVAL";
    case ENOMEM: return "-ENOMEM";
    case EPERM: return "-EPERM";
    case EFAULT: return "-EFAULT";
    case EBUSY: return "-EBUSY";
    case EAGAIN: return "-EAGAIN";
    default: return "-" + std::to_string(error);
  }
}

}  // namespace faultline::ref::protocol
