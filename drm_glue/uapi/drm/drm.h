// linux/kfd_ioctl.h includes this; Debian has it from libdrm, elsewhere.
#pragma once

#include <libdrm/drm.h>
