/* The protocol of kernels_ref/protocol/notifiers/interval_notifier.cpp and mmu_notifier.cpp for SPIN, step by
 * step: what those coroutines do between two suspensions is one d_step here, and nothing else is a step.
 *
 * -DINVALIDATORS=n -DFAULTERS=m, -DROUNDS=r; the planted bugs are the variants of the same name:
 * -DNO_READ_RETRY -DCALLBACK_DOES_NOT_STAMP -DCALLBACK_WITHOUT_LOCK -DREAD_BEGIN_DOES_NOT_WAIT
 * -DFIRST_END_COMPLETES. Each terminal state prints its outcome. */

#ifndef ROUNDS
#define ROUNDS 2
#endif

#ifdef NO_READ_RETRY
#define CHANGED(seq) false
#else
#define CHANGED(seq) (stamp != seq)
#endif

#ifdef READ_BEGIN_DOES_NOT_WAIT
#define MUST_WAIT false
#else
#define MUST_WAIT (mm_seq == stamp)
#endif

#ifdef CALLBACK_DOES_NOT_STAMP
#define STAMP(seq) skip
#else
#define STAMP(seq) stamp = seq
#endif

#ifdef FIRST_END_COMPLETES
#define LAST true
#else
#define LAST (running == 0)
#endif

byte pte = 1;       /* the frame that the page has; a new one each time */
byte entry = 0;     /* the frame that the device maps; 0: none */
byte running = 0;    /* active_invalidate_ranges */
byte mm_seq = 2;    /* invalidate_seq of the mm */
byte stamp = 1;     /* invalidate_seq of the subscription */
bit driver = 0;     /* the driver's lock */
byte ended = 0;

/* Outside an invalidation the device maps what the CPU maps. */
#define CURRENT assert(running > 0 || entry == 0 || entry == pte)

inline invalidate_range_end() {
  running--;
  if
  :: LAST && (mm_seq & 1) -> mm_seq++
  :: else -> skip
  fi;
  CURRENT
}

inline returns() {
  ended++;
  if
  :: ended == INVALIDATORS + FAULTERS -> c_code { printf("outcome: pte=%d entry=%d\n", now.pte, now.entry); }
  :: else -> skip
  fi
}

active [INVALIDATORS] proctype invalidator() {
  byte round = 0, seq = 0;
  do
#ifdef CALLBACK_WITHOUT_LOCK
  :: d_step { running++; mm_seq = mm_seq | 1; STAMP(mm_seq) };
     d_step { entry = 0; CURRENT };
#else
  :: d_step { running++; mm_seq = mm_seq | 1; seq = mm_seq };
     d_step { driver == 0 -> driver = 1; STAMP(seq); seq = 0 };
     d_step { entry = 0; driver = 0; CURRENT };
#endif
     d_step { pte++; CURRENT };
     if
     :: d_step { round + 1 < ROUNDS -> invalidate_range_end(); round++ }
     :: d_step { round + 1 == ROUNDS -> invalidate_range_end(); round = 0; returns() }; break
     fi
  od;
end_invalidator:
  false
}

active [FAULTERS] proctype faulter() {
  byte round = 0, seq = 0, page = 0;
  do
  :: if
     :: d_step { MUST_WAIT -> seq = stamp }; mm_seq != seq
     :: d_step { !MUST_WAIT -> seq = stamp }
     fi;
     d_step { page = pte };
     if
     :: d_step { driver == 0 && CHANGED(seq) -> seq = 0; page = 0 }
     :: d_step { driver == 0 && !CHANGED(seq) -> driver = 1; seq = 0 };
        if
        :: d_step { round + 1 < ROUNDS -> entry = page; driver = 0; page = 0; round++; CURRENT }
        :: d_step {
             round + 1 == ROUNDS -> entry = page; driver = 0; page = 0; round = 0; CURRENT; returns()
           };
           break
        fi
     fi
  od;
end_faulter:
  false
}
