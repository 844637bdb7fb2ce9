/* clCreateSubBuffer must return CL_MISALIGNED_SUB_BUFFER_OFFSET if there is no device for which the origin is a multiple
 * of CL_DEVICE_MEM_BASE_ADDR_ALIGN. */
#include "reproduce.h"

int main(void) {
  begin();
  cl_uint bits = 0;
  clGetDeviceInfo(device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL);
  printf("base alignment: %u bytes\n", bits / 8);
  if (bits < 16) return 2;
  cl_mem parent = clCreateBuffer(context, CL_MEM_READ_WRITE, 1 << 20, NULL, NULL);
  const cl_buffer_region region = {bits / 16, 256};
  cl_int code = CL_SUCCESS;
  clCreateSubBuffer(parent, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
  expect("clCreateSubBuffer", code, CL_MISALIGNED_SUB_BUFFER_OFFSET);
  return bugs;
}
