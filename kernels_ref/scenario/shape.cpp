#include "kernels_ref/scenario/shape.h"

#include "harness/queries.h"
#include "kernels_ref/drivers/driver.h"
#include "kernels_ref/mm/mmap.h"

namespace faultline::ref {

Shape make_shape(const Program& program, const Facets& facets) {
  Shape shape(program);
  shape.huge_pages = may_have_huge_pages(program);
  shape.accounts = !maps_without_reserve(program);
  shape.device_class = facets.device_class;
  shape.dropped = facets.dropped;
  shape.driver = &driver_of(facets.device_class).ops;
  int results = 0;
  for (std::size_t t = 0; t < program.threads.size(); ++t) {
    const Thread& thread = program.threads[t];
    shape.first_result[t] = static_cast<std::uint8_t>(results);
    results += static_cast<int>(thread.statements.size());
    for (const Statement& s : thread.statements)
      if (std::holds_alternative<op::Exit>(s.operation) || (shape.driver->faults_kill && is_device_access(s.operation)))
        shape.mortal[thread.process] = true;
  }
  each<op::Kill>(program, [&shape](int, const op::Kill& kill) { shape.mortal[kill.process] = true; });
  each<op::Close>(program, [&shape](int, const op::Close&) { shape.closes = true; });
  each<op::Truncate>(program, [&shape](int, const op::Truncate&) { shape.cuts_files = true; });
  each<op::Madvise>(program, [&shape](int, const op::Madvise& advise) {
    shape.cuts_files = shape.cuts_files || advise.advice == op::Advice::remove;
  });
  for (std::size_t f = 0; f < program.files.size(); ++f) {
    shape.on_disk[f] = program.files[f].kind == File::Kind::disk;
    shape.tracks_dirty[f] = shape.on_disk[f] && shape.driver->mirrors;
  }
  const auto opens = opened_first(program);
  for (std::size_t p = 0; p < opens.size(); ++p)
    for (const int device : opens[p]) shape.opens_first[p] |= 1 << device;
  return shape;
}

namespace {

// Files are the first objects: open, with every page in the page cache.
void make_files(const Shape& shape, World& w) {
  const Cpu cpu{&shape, &w, nullptr, 0};
  for (const File& file : shape.program->files) {
    const int index = static_cast<int>(&file - shape.program->files.data());
    Object& object = w.object[new_object(cpu, shape.spans.in_file(index, file.pages))];
    object.mappings = 1;
    for (int p = 0; p < object.size; ++p) {
      object.frame[p] = static_cast<std::uint8_t>(alloc_frame(cpu, Frame::Kind::shared, {}));
      get_ref(w, object.frame[p]);
    }
  }
}

}  // namespace

void start(const Shape& shape, World& w) {
  const Program& program = *shape.program;
  make_files(shape, w);
  for (std::size_t p = 0; p < program.processes.size(); ++p) {
    if (program.processes[p].parent >= 0) continue;
    ProcessState& process = w.process[p];
    process.life = ProcessState::Life::alive;
    process.started = 1;
    int first_thread = 0;
    for (std::size_t t = program.threads.size(); t-- > 0;) {
      if (program.threads[t].process != static_cast<int>(p)) continue;
      ++process.threads;
      first_thread = static_cast<int>(t);
    }
    const MmId mm = static_cast<MmId>(p);
    w.mm[mm].users = process.threads;
    const Cpu cpu{&shape, &w, nullptr, first_thread};
    for (std::size_t r = 0; r < program.regions.size(); ++r) {
      const Region& region = program.regions[r];
      if (region.owner != mm || region.backing == Backing::none) continue;
      const PageRange all{static_cast<int>(r), 0, region.pages};
      const Slot from = shape.spans.of(all), to = shape.spans.last_of(all);
      map_pages(cpu, mm, from, to, region.backing, region.protection, region.file < 0 ? none : region.file);
      if (!region.initial) continue;
      for (Slot s = from; s <= to; ++s) {
        const Contents contents{static_cast<std::uint8_t>(s), static_cast<std::uint8_t>(*region.initial)};
        const VmaPage& vma = w.mm[mm].vma[s];
        const bool shared = !vma.is_private();
        std::uint8_t* const cached = shared ? &w.object[vma.object].frame[vma.pgoff] : nullptr;
        const bool is_there = shared && *cached != none;
        const FrameId f = is_there ? *cached : alloc_frame(cpu, shared ? Frame::Kind::shared : Frame::Kind::anon, {}, {mm, s});
        w.frame[f].contents = contents;
        Pte pte = page_pte(f, region.protection.write);
        pte.protnone = !region.protection.read && !region.protection.write;
        set_pte(w, mm, s, pte);
        if (shared && !is_there) {
          *cached = static_cast<std::uint8_t>(f);
          get_ref(w, f);
        } else if (!shared) {
          w.frame[f].exclusive = 1;
          if (shape.accounts) w.mm[mm].vma[s].account = VmaPage::Account::yes;  // populated before it was protected
          prepare_anon_vma(cpu, mm, s);
        }
      }
    }
    for (int device = 0; device < limits::devices; ++device) {
      if (!(shape.opens_first[p] >> device & 1)) continue;
      const MirrorId id = mirror_id(device, mm);
      process.descriptors |= 1 << id;
      if (!shape.driver->mirrors) continue;
      w.mm[mm].notifiers = shape.driver->invalidate || shape.driver->invalidate_ranges;
      w.mirror[id].files = 1;
    }
  }
}

}  // namespace faultline::ref
