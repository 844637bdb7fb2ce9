"""KFD's SVM ranges of a process (struct svm_range in drivers/gpu/drm/amd/amdkfd/kfd_svm.c, Linux 6.1)."""


class SvmRange:
    """in_vram: actual_loc of the range; single pages may be elsewhere. mapped: mapped_to_gpu of the range; only an unmap of the
    whole range at once clears it. invalid: invalidated, and the queues are stopped until it is mapped again."""

    def __init__(self, first, last, in_vram=False, mapped=False):
        self.first, self.last, self.in_vram, self.mapped, self.invalid = first, last, in_vram, mapped, False

    @property
    def pages(self):
        return range(self.first, self.last + 1)

    def part(self, pages):
        return range(max(self.first, pages.start), min(self.last + 1, pages.stop))

    def piece(self, first, last):
        """svm_range_clone() and svm_range_split()."""
        return SvmRange(first, last, self.in_vram, self.mapped)


class SvmRanges:
    def __init__(self):
        self.all = []  # by address

    def at(self, page):
        return next((each for each in self.all if page in each.pages), None)

    def over(self, pages):
        return [each for each in self.all if each.part(pages)]

    def add(self, pages):
        """svm_range_add(): the ranges that cover these pages, split and added as needed, in the order of its update list."""
        update, start = [], pages.start
        for old in self.over(pages):
            own = old.part(pages)
            inner = old
            if own != old.pages:
                inner = old.piece(own.start, own.stop - 1)
                self.replace(old, own, [inner])
            update.insert(0, inner)
            if own.start > start:
                update.insert(0, self.insert(start, own.start - 1))
            start = own.stop
        if start < pages.stop:
            update.insert(0, self.insert(start, pages.stop - 1))
        return update

    def insert(self, first, last):
        new = SvmRange(first, last)
        self.all = sorted([*self.all, new], key=lambda each: each.first)
        return new

    def replace(self, old, own, inner):
        """Replaces the pages `own` of the range `old` by the ranges `inner`. Returns what is left of `old` on both sides."""
        head = [old.piece(old.first, own.start - 1)] if old.first < own.start else []
        tail = [old.piece(own.stop, old.last)] if own.stop <= old.last else []
        at = self.all.index(old)
        self.all[at:at + 1] = head + inner + tail
        return head + tail

    def remove(self, pages):
        """svm_range_unmap_split(): the first remaining piece is the old range and keeps `invalid`; the other one is new."""
        for old in self.over(pages):
            for each in self.replace(old, old.part(pages), [])[:1]:
                each.invalid = old.invalid
