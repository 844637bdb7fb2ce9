// The scenario language as a PEGTL grammar: one rule for each construct. language.md describes the language.
// syntax.h turns a text into a tree by these rules, and the passes over that tree know what it means.
//
// The grammar accepts any word for names that are looked up later (a region). A closed set of words is part of the
// grammar, so that a misspelt word is not taken for something else. `expected` is what error messages call a rule.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <tao/pegtl.hpp>
#include <utility>

#include "harness/language/words.h"

namespace faultline::grammar {

using namespace tao::pegtl;

// Tokens. Each includes the blanks after it. token<> may be absent; if expect<> is absent, that is an error.
struct blanks : star<blank> {};
struct comment : opt<one<'#'>, until<at<eolf>>> {};

template <typename Rule>
struct token : seq<Rule, blanks> {};
template <typename Rule>
struct expect : seq<must<Rule>, blanks> {};

// A name, possibly with dots ("P.gpu", "r0.faults").
struct word_more : sor<identifier_other, seq<one<'-'>, at<identifier_other>>, seq<one<'.'>, at<identifier_first>>> {};
struct word : seq<identifier_first, star<word_more>> {};
struct ordinal : seq<one<'#'>, at<digit>, plus<word_more>> {};  // "#2", "#2.faults": the second statement
struct number : plus<digit> {};

struct escape : sor<string<'\\', '"'>, string<'\\', '\\'>, string<'\\', 'n'>> {};
struct unclosed : failure {};
struct quoted : sor<seq<one<'"'>, star<sor<if_must<at<one<'\\'>>, escape>, not_one<'"', '\n'>>>, one<'"'>>,
                    if_must<at<one<'"'>>, unclosed>> {};

struct any_token : sor<word, number, quoted, string<'!', '='>, string<'-', '>'>, string<'.', '.'>,
                       one<':', '=', '[', ']', '(', ')', ',', '@', '-'>> {};

template <std::size_t size>
struct Literal {
  char bytes[size]{};
  constexpr Literal(const char (&text)[size]) { std::copy_n(text, size, bytes); }
  using index = std::make_index_sequence<size - 1>;
};
template <Literal text, typename Index = typename decltype(text)::index>
struct symbol;
template <Literal text, std::size_t... i>
struct symbol<text, std::index_sequence<i...>> : string<text.bytes[i]...> {
  static constexpr char expected[] = {'\'', text.bytes[i]..., '\'', '\0'};
};
template <Literal text>
struct keyword : rematch<word, seq<symbol<text>, eof>> {
  static constexpr auto& expected = symbol<text>::expected;
};

struct line_end : seq<comment, eolf> {};
struct blank_line : seq<blanks, comment, eol> {};
struct text_end : seq<blanks, comment, eof> {};

// clang-format off
// The names of new things
struct new_scenario : word { static constexpr auto expected = "the scenario's name"; };
struct new_device : word { static constexpr auto expected = "the device's name"; };
struct new_process : word { static constexpr auto expected = "the process's name"; };
struct new_thread : word { static constexpr auto expected = "the thread's name"; };
struct new_file : word { static constexpr auto expected = "the file's name"; };
struct new_barrier : word { static constexpr auto expected = "the barrier's name"; };
struct new_region : word {};
struct new_result : word {};

// The names of existing things
struct process_name : word { static constexpr auto expected = "a process"; };
struct file_name : word { static constexpr auto expected = "a file"; };
struct region_name : word { static constexpr auto expected = "a region"; };
struct descriptor : word { static constexpr auto expected = "a device"; };  // "d" or "P.d"
struct accessor : word { static constexpr auto expected = "a device or 'cpu'"; };
struct destination : word { static constexpr auto expected = "a device or 'system'"; };

struct page_number : number { static constexpr auto expected = "a number (page)"; };
struct page : expect<page_number> {};
// "a[0]"
struct cell : seq<expect<region_name>, expect<symbol<"[">>, page, expect<symbol<"]">>> {};
// "a", "a[0]" or "a[0..1]"
struct range : seq<expect<region_name>, opt<token<symbol<"[">>, page, opt<token<symbol<"..">>, page>,
                                            expect<symbol<"]">>>> {};

// Closed sets of words. `unknown` is what error messages call a word that is not in the table.
struct device_class : word {
  static constexpr auto& table = words::device_classes;
  static constexpr auto expected = "a device class";
  static constexpr auto unknown = "device class";
};
struct backing : word {
  static constexpr auto& table = words::backings;
  static constexpr auto expected = "what backs the pages (anon, shared, stack, private, none, or a buffer: svm-coarse, svm-fine, ...)";
  static constexpr auto unknown = "backing";
};
struct buffer : word {
  static constexpr auto& table = words::buffers;
};
struct order : word {
  static constexpr auto& table = words::orders;
  static constexpr auto expected = "an order (relaxed, acquire, release, acq-rel or seq-cst)";
  static constexpr auto unknown = "order";
};
struct mapped_backing : word {
  static constexpr auto& table = words::mapped_backings;
  static constexpr auto expected = "what backs the pages (anon, shared, stack or private)";
};
struct advice : word {
  static constexpr auto& table = words::advices;
  static constexpr auto expected = "an advice (dontneed, free, populate-read, ...)";
  static constexpr auto unknown = "advice";
};
struct uffd_mode : word {
  static constexpr auto& table = words::uffd_modes;
  static constexpr auto expected = "which faults wait (missing, wp or both)";
};
struct protection : sor<word, one<'-'>> {
  static constexpr auto& table = words::protections;
  static constexpr auto expected = "a protection (rw, r, w or -)";
};
// A word followed by a protection is the name of a file.
struct file_of : opt<at<word, blanks, sor<word, one<'-'>>>, expect<file_name>> {};
struct claim_kind : word {
  static constexpr auto& table = words::claims;
};

struct value : number { static constexpr auto expected = "a number (value)"; };

// Declarations
struct scenario : seq<token<keyword<"scenario">>, expect<new_scenario>> {};
struct sentence : quoted {};
struct device : seq<token<keyword<"device">>, expect<new_device>, expect<symbol<":">>, expect<device_class>> {};
struct process : seq<token<keyword<"process">>, expect<new_process>> {};
struct thread : seq<token<keyword<"thread">>, expect<new_thread>, opt<token<keyword<"on">>, expect<descriptor>>> {};

struct page_count : number { static constexpr auto expected = "a number (page count)"; };
struct pages : sor<keyword<"page">, keyword<"pages">> { static constexpr auto expected = "'pages'"; };
struct file_kind : word {
  static constexpr auto& table = words::file_kinds;
};
struct file : seq<token<file_kind>, expect<new_file>, expect<symbol<":">>, expect<page_count>, expect<pages>> {};
struct end_of_none : at<line_end> {};
struct region : seq<token<new_region>, token<symbol<":">>, expect<page_count>, expect<pages>,
                    sor<if_must<token<keyword<"none">>, end_of_none>,
                        seq<token<buffer>, expect<symbol<"=">>, expect<value>>,
                        seq<expect<backing>, file_of, expect<protection>, opt<token<symbol<"=">>, expect<value>>>>> {};

// Statements
template <Literal text>
struct verb : token<keyword<text>> {
  static constexpr std::string_view word{text.bytes, sizeof text.bytes - 1};
};

struct access_via : opt<token<keyword<"via">>, expect<accessor>> {};
struct request_via : opt<token<keyword<"via">>, expect<descriptor>> {};

struct load : seq<verb<"load">, cell, opt<token<order>>, access_via> {};
struct store : seq<verb<"store">, cell, expect<value>, opt<token<order>>, access_via> {};
struct exchange : seq<verb<"exchange">, cell, expect<value>, expect<order>, access_via> {};
struct amount : number { static constexpr auto expected = "a number (what is added)"; };
struct add : seq<verb<"add">, cell, expect<amount>, expect<order>, access_via> {};
struct expected_value : number { static constexpr auto expected = "a number (the value that is expected)"; };
struct compare_exchange : seq<verb<"compare-exchange">, cell, expect<expected_value>, expect<symbol<"->">>, expect<value>,
                              expect<order>, access_via> {};
struct direct_read : seq<verb<"direct-read">, cell, expect<value>> {};
struct direct_write : seq<verb<"direct-write">, cell> {};
struct mmap : seq<verb<"mmap">, range, expect<mapped_backing>, file_of, expect<protection>> {};
struct munmap : seq<verb<"munmap">, range> {};
struct mprotect : seq<verb<"mprotect">, range, expect<protection>> {};
struct target : range {};
struct mremap_kind : word {
  static constexpr auto& table = words::mremap_kinds;
};
struct mremap : seq<verb<"mremap">, range, expect<symbol<"->">>, target, opt<token<mremap_kind>>> {};
struct madvise : seq<verb<"madvise">, range, expect<advice>> {};
struct msync : seq<verb<"msync">, range> {};
struct truncate : seq<verb<"truncate">, expect<file_name>, expect<page_count>> {};
struct fork : seq<verb<"fork">, expect<process_name>> {};
struct exit : verb<"exit"> {};
struct kill : seq<verb<"kill">, expect<process_name>> {};
struct wait : seq<verb<"wait">, expect<process_name>> {};
struct barrier : seq<verb<"barrier">, expect<new_barrier>> {};
struct duration : number { static constexpr auto expected = "a number (delay)"; };
struct unit : sor<keyword<"us">, keyword<"ms">> { static constexpr auto expected = "a unit of time (us or ms)"; };
struct delay : seq<verb<"delay">, expect<duration>, expect<unit>> {};
struct open : seq<verb<"open">, expect<descriptor>> {};
struct close : seq<verb<"close">, expect<descriptor>> {};
struct allocation : number { static constexpr auto expected = "a number (the allocation that fails)"; };
struct migrate : seq<verb<"migrate">, range, expect<keyword<"to">>, expect<destination>, request_via,
                     opt<token<keyword<"fail">>, expect<allocation>>> {};
struct snapshot : seq<verb<"snapshot">, range, request_via> {};
struct pin_kind : word {
  static constexpr auto& table = words::pin_kinds;
};
struct pin : seq<verb<"pin">, opt<token<pin_kind>>, range, request_via> {};
struct unpin : seq<verb<"unpin">, range, request_via> {};
struct exclusive : seq<verb<"exclusive">, range, request_via> {};
struct check_exclusive : seq<verb<"check-exclusive">, range, request_via> {};
struct uffd_register : seq<verb<"uffd-register">, range, expect<uffd_mode>> {};
struct uffd_unregister : seq<verb<"uffd-unregister">, range> {};
struct uffd_copy : seq<verb<"uffd-copy">, cell, expect<value>> {};
struct uffd_zero : seq<verb<"uffd-zero">, range> {};
struct uffd_protect : seq<verb<"uffd-protect">, range> {};
struct uffd_unprotect : seq<verb<"uffd-unprotect">, range> {};
struct uffd_wake : seq<verb<"uffd-wake">, range> {};
struct svm_map : seq<verb<"svm-map">, range, expect<protection>, request_via> {};
struct svm_unmap : seq<verb<"svm-unmap">, range, request_via> {};
struct source : cell {};
struct svm_copy : seq<verb<"svm-copy">, source, expect<symbol<"->">>, cell, request_via> {};
struct svm_fill : seq<verb<"svm-fill">, cell, expect<value>, request_via> {};

// If you add one, the compiler asks for code in statements.cpp that reads it.
struct operation : sor<load, store, mmap, munmap, mprotect, mremap, madvise, msync, truncate, fork, exit, kill, wait,
                       barrier, delay, open, close, migrate, snapshot, pin, unpin, exclusive, check_exclusive, direct_read,
                       direct_write, uffd_register, uffd_unregister, uffd_copy, uffd_zero, uffd_protect, uffd_unprotect, uffd_wake,
                       svm_map, svm_unmap, svm_copy, svm_fill, exchange, add, compare_exchange> {};

// The word that an operation begins with, and those of all operations.
template <typename Op>
constexpr std::string_view verb_of() {
  if constexpr (requires { Op::word; }) return Op::word;
  else return []<typename First, typename... Rest>(type_list<First, Rest...>) { return First::word; }(typename Op::subs_t{});
}
inline constexpr auto verbs = []<typename... Ops>(type_list<Ops...>) { return std::array{verb_of<Ops>()...}; }(operation::subs_t{});

struct statement : sor<if_must<seq<token<new_result>, token<symbol<"=">>>, operation>, operation> {};

// What the end state shows
struct seen : seq<expect<process_name>, expect<symbol<":">>, cell> {};  // "P:a[0]"
struct same : seq<token<keyword<"same">>, expect<symbol<"(">>, seen, expect<symbol<",">>, seen,
                  expect<symbol<")">>> {};
struct where : seq<token<keyword<"where">>, expect<symbol<"(">>, seen, expect<symbol<")">>> {};
struct events : seq<token<keyword<"events">>, expect<symbol<"(">>, seen, expect<symbol<")">>> {};
struct observed : seq<sor<same, where, events, seen>, opt<token<symbol<",">>>> {};
struct observe : seq<token<keyword<"observe">>, observed, until<at<line_end>, observed>> {};

// Claims
struct owner : word {};  // a thread, or a process
struct colon : one<':'> { static constexpr auto expected = "':' and what is observed there"; };
struct result : sor<word, ordinal> { static constexpr auto expected = "a register or a cell"; };
struct sees_cell : at<word, blanks, one<':'>, blanks, word, blanks, one<'['>> {};
struct observable : sor<same, where, events, seq<sees_cell, seen>, seq<token<owner>, expect<colon>, expect<result>>> {};

struct relation : sor<symbol<"!=">, symbol<"=">> { static constexpr auto expected = "'=' or '!='"; };
struct stored_at : seq<token<one<'@'>>, cell> {};
struct text : sor<seq<value, opt<blanks, stored_at>>, word, quoted, one<'-'>> {
  static constexpr auto expected = "what it can be (1, zero, EFAULT, SIGSEGV, ok, ...)";
};
struct comparison : seq<observable, expect<relation>, expect<text>> {
  static constexpr auto expected = "an observable (P.cpu:r0, P:a[0], same(P:a[0], C:a[0]), where(P:a[0]) or events(P:a[0]))";
};

struct any;
struct unary;
struct group : seq<token<symbol<"(">>, any, expect<symbol<")">>> {};
struct negation : seq<token<keyword<"not">>, unary> {};
struct level : sor<group, negation> {};  // may be nested limits::claim_depth deep
struct unary : sor<seq<at<sor<one<'('>, keyword<"not">>>, level>, must<comparison>> {};
struct all : list<unary, token<keyword<"and">>> {};
struct any : list<all, token<keyword<"or">>> {};
struct end_of_claim : line_end { static constexpr auto expected = "'and', 'or' or the end of the line"; };
struct claim : seq<token<claim_kind>, any, must<end_of_claim>> {};

// The text. Regions and statements come first, because they may begin with a name. If that name is a word of the language, it
// is a mistake.
using lines = type_list<scenario, sentence, region, statement, device, file, process, thread, observe, claim>;
struct line : sor<seq<sor<region, statement, device, file, process, thread, observe, scenario>, must<line_end>>, claim> {};
struct doc_line : seq<blanks, sentence, blanks, must<line_end>> {};
struct scenario_text : seq<star<blank_line>, blanks, must<scenario>, must<line_end>, star<sor<blank_line, doc_line>>,
                           until<text_end, sor<blank_line, seq<blanks, must<line>>>>> {};

// The characters that a text may have at all: UTF-8 without control characters.
struct legible : sor<eol, utf8::ranges<' ', '~', 0x80, 0x10FFFF, '\t'>> {};
// clang-format on
struct legible_text : until<eof, must<legible>> {};

}  // namespace faultline::grammar
