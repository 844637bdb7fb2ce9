// Linked lists. The links are addresses, so each agent follows addresses that another agent has stored.

typedef struct Node {
  ulong next;  // a node's address, 0 at the end
  uint list;
  uint place;
} Node;

__global Node* node_of(ulong address) { return (__global Node*)(uintptr_t)address; }

// Work-item i makes list i. The head is the i-th node of `first`. Work-items take further nodes from both pools in turn;
// `taken` counts them.
__kernel void make(__global Node* first, __global Node* second, volatile __global uint* taken, uint length) {
  const uint list = (uint)get_global_id(0);
  __global Node* node = &first[list];
  node->list = list;
  node->place = 0;
  for (uint place = 1; place < length; ++place) {
    const uint slot = atomic_inc(taken);
    __global Node* next = (list + place) % 2 ? &second[slot] : &first[slot];
    next->list = list;
    next->place = place;
    node->next = (ulong)(uintptr_t)next;
    node = next;
  }
  node->next = 0;
}

// Counts the correct nodes; the first wrong one ends its list.
__kernel void count(__global const Node* first, volatile __global uint* right, uint length) {
  const uint list = (uint)get_global_id(0);
  ulong at = (ulong)(uintptr_t)&first[list];
  for (uint place = 0; place < length && at; ++place) {
    __global const Node* node = node_of(at);
    if (node->list != list || node->place != place) return;
    atomic_inc(right);
    at = node->next;
  }
}

// Adds one to the places of every node of every list.
__kernel void shift(__global Node* first, uint length) {
  ulong at = (ulong)(uintptr_t)&first[get_global_id(0)];
  for (uint place = 0; place < length && at; ++place) {
    node_of(at)->place += 1;
    at = node_of(at)->next;
  }
}
