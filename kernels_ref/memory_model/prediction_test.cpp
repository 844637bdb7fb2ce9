#include "kernels_ref/memory_model/prediction.h"

#include <gtest/gtest.h>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline::ref {
namespace {

Allowed allowed(const std::string& body, std::initializer_list<Rule> dropped = {}) {
  Rules rules;
  for (const Rule rule : dropped) rules.set(static_cast<std::size_t>(rule));
  return predict_by_memory_model(parse("scenario t\ndevice d: fatal-faults\nprocess P\n" + body, "t.scn"), rules);
}

// The results of the registers in the order of the text, outcome by outcome: "00 01 11".
std::string loads(const Allowed& allowed) {
  std::string text;
  for (const Outcome& outcome : allowed.outcomes) {
    text += text.empty() ? "" : " ";
    for (std::size_t i = 0; i < outcome.size(); ++i)
      if (allowed.schema[i].key.find('#') == std::string::npos) text += outcome[i];
  }
  return text;
}

std::string two(const std::string& first, const std::string& second, const std::string& memory = "svm-fine = 0") {
  return "  a: 2 pages " + memory + "\nthread P.cpu\n" + first + "thread P.gpu on d\n" + second;
}

TEST(MemoryModel, MessagePassing) {
  const auto with = [](const std::string& release, const std::string& acquire, std::initializer_list<Rule> dropped = {}) {
    return loads(allowed(
        two("store a[0] 1 relaxed\nstore a[1] 1 " + release + "\n", "r0 = load a[1] " + acquire + "\nr1 = load a[0] relaxed\n"),
        dropped));
  };
  EXPECT_EQ(with("release", "acquire"), "00 01 11");
  EXPECT_EQ(with("seq-cst", "acquire"), "00 01 11");
  EXPECT_EQ(with("relaxed", "acquire"), "00 01 10 11");
  EXPECT_EQ(with("release", "relaxed"), "00 01 10 11");
  EXPECT_EQ(with("release", "acquire", {Rule::release_synchronises}), "00 01 10 11");
}

TEST(MemoryModel, StoreBuffering) {
  const auto with = [](const std::string& order, const std::string& load, std::initializer_list<Rule> dropped = {}) {
    return loads(allowed(two("store a[0] 1 " + order + "\nr0 = load a[1] " + load + "\n",
                             "store a[1] 1 " + order + "\nr1 = load a[0] " + load + "\n"),
                         dropped));
  };
  EXPECT_EQ(with("seq-cst", "seq-cst"), "01 10 11");
  EXPECT_EQ(with("seq-cst", "acquire"), "00 01 10 11");
  EXPECT_EQ(with("release", "acquire"), "00 01 10 11");
  EXPECT_EQ(with("seq-cst", "seq-cst", {Rule::seq_cst_has_one_order}), "00 01 10 11");
}

TEST(MemoryModel, LoadBuffering) {
  const auto with = [](const std::string& load, const std::string& store) {
    return loads(allowed(two("r0 = load a[0] " + load + "\nstore a[1] 1 " + store + "\n",
                             "r1 = load a[1] " + load + "\nstore a[0] 1 " + store + "\n")));
  };
  EXPECT_EQ(with("relaxed", "relaxed"), "00 01 10 11");
  EXPECT_EQ(with("acquire", "release"), "00 01 10");
}

TEST(MemoryModel, Coherence) {
  const std::string reads = two("store a[0] 1 relaxed\n", "r0 = load a[0] relaxed\nr1 = load a[0] relaxed\n");
  EXPECT_EQ(loads(allowed(reads)), "00 01 11");
  EXPECT_EQ(loads(allowed(reads, {Rule::memory_is_coherent})), "00 01 10 11");
  // Two writers: both readers see one order of the writes.
  const Allowed writers = allowed(
      "  a: 1 page svm-fine = 0\nthread P.w\nstore a[0] 1 relaxed\nthread P.v on d\nstore a[0] 2 relaxed\n"
      "thread P.r\nr0 = load a[0] relaxed\nr1 = load a[0] relaxed\n"
      "thread P.s on d\ns0 = load a[0] relaxed\ns1 = load a[0] relaxed\n");
  EXPECT_EQ(loads(writers).find("1221"), std::string::npos);
  EXPECT_NE(loads(writers).find("1212"), std::string::npos);
}

TEST(MemoryModel, IndependentReadsOfIndependentWrites) {
  const auto with = [](const std::string& order, const std::string& store) {
    return loads(allowed("  a: 2 pages svm-fine = 0\nthread P.w\nstore a[0] 1 " + store + "\nthread P.v on d\nstore a[1] 1 " +
                         store + "\nthread P.r\nr0 = load a[0] " + order + "\nr1 = load a[1] " + order +
                         "\nthread P.s on d\ns0 = load a[1] " + order + "\ns1 = load a[0] " + order + "\n"));
  };
  EXPECT_NE(with("acquire", "release").find("1010"), std::string::npos);
  EXPECT_EQ(with("seq-cst", "seq-cst").find("1010"), std::string::npos);
}

TEST(MemoryModel, UpdatesAreAtomic) {
  const auto with = [](const std::string& statement, std::initializer_list<Rule> dropped = {}) {
    return loads(allowed(
        "  a: 1 page svm-fine = 0\nthread P.t\nr0 = " + statement + "\nthread P.u on d\nr1 = " + statement + "\nobserve P:a[0]\n",
        dropped));
  };
  EXPECT_EQ(with("add a[0] 1 relaxed"), "012 102");
  EXPECT_EQ(with("add a[0] 1 relaxed", {Rule::updates_are_atomic}), "001 012 102");
  EXPECT_EQ(with("exchange a[0] 5 relaxed"), "055 505");
  EXPECT_EQ(with("compare-exchange a[0] 0 -> 7 relaxed"), "077 707");  // one wins, the other sees it
  EXPECT_EQ(with("compare-exchange a[0] 1 -> 7 relaxed"), "000");      // nobody does
  EXPECT_EQ(with("compare-exchange a[0] 0 -> 7 relaxed", {Rule::updates_are_atomic}), "007 077 707");
}

// An update passes on the release of the write that it has read.
TEST(MemoryModel, UpdatesContinueAReleaseSequence) {
  const auto with = [](const std::string& between) {
    return loads(allowed("  a: 2 pages svm-fine = 0\nthread P.w\nstore a[0] 1 relaxed\nstore a[1] 1 release\nthread P.u on d\n" +
                         between + "\nthread P.r\nr0 = load a[1] acquire\nr1 = load a[0] relaxed\n"));
  };
  EXPECT_EQ(with("add a[1] 1 relaxed").find("20"), std::string::npos);
  EXPECT_NE(with("store a[1] 2 relaxed").find("20"), std::string::npos);
}

TEST(MemoryModel, UpdatesSynchroniseByTheirOrder) {
  const auto with = [](const std::string& order) {
    return loads(allowed(two("store a[0] 1 relaxed\nexchange a[1] 1 " + order + "\n",
                             "r0 = exchange a[1] 2 " + order + "\nr1 = load a[0] relaxed\n")));
  };
  // In the order of the schema: what the first exchange gave, then r0 and r1.
  EXPECT_EQ(with("acq-rel"), with("seq-cst"));
  EXPECT_EQ(with("acq-rel").find("10"), std::string::npos);
  EXPECT_NE(with("relaxed").find("10"), std::string::npos);
  EXPECT_NE(with("acquire").find("10"), std::string::npos);
  EXPECT_NE(with("release").find("10"), std::string::npos);
}

// Store buffering, with an exchange for a store and as the only accesses that are seq-cst.
TEST(MemoryModel, UpdatesOfOneOrder) {
  const auto with = [](const std::string& order) {
    return loads(allowed(two("exchange a[0] 1 " + order + "\nr0 = exchange a[1] 2 " + order + "\n",
                             "exchange a[1] 1 " + order + "\nr1 = exchange a[0] 2 " + order + "\n")));
  };
  EXPECT_EQ(with("seq-cst").find("00"), std::string::npos);
}

// Each would need the other's value to write its own.
TEST(MemoryModel, NoValueComesFromItself) {
  EXPECT_EQ(loads(allowed(two("r0 = compare-exchange a[0] 1 -> 2 relaxed\n", "r1 = compare-exchange a[0] 2 -> 1 relaxed\n"))),
            "00");
  EXPECT_EQ(loads(allowed(two("svm-copy a[0] -> a[1] via d\nbarrier x\n", "barrier x\nsvm-copy a[1] -> a[0]\nr0 = load a[0]\n",
                              "svm-coarse = 3"))),
            "3");
}

TEST(MemoryModel, AFailedCompareExchangeOnlyReads) {
  const auto with = [](const std::string& expected) {
    return allowed(two("compare-exchange a[0] " + expected + " -> 7 acq-rel\n", "r0 = load a[0]\n")).undefined;
  };
  EXPECT_EQ(with("5"), "");
  EXPECT_NE(with("0"), "");
}

TEST(MemoryModel, ABarrierOrdersPlainAccesses) {
  EXPECT_EQ(loads(allowed(two("store a[0] 1\nbarrier x\n", "barrier x\nr0 = load a[0]\n"))), "1");
  EXPECT_EQ(loads(allowed(two("barrier x\nstore a[0] 1\nbarrier x\n", "barrier x\nbarrier x\nr0 = load a[0]\n"))), "1");
}

TEST(MemoryModel, ARaceIsUndefined) {
  EXPECT_EQ(allowed(two("store a[0] 1\n", "r0 = load a[0]\n")).undefined,
            "a data race on a[0] between 'P.cpu: store a[0] 1' and 'P.gpu: r0 = load a[0]'");
  EXPECT_NE(allowed(two("store a[0] 1\n", "r0 = load a[0] acquire\n")).undefined, "");
  EXPECT_NE(allowed(two("barrier x\nstore a[0] 1\n", "barrier x\nr0 = load a[0]\n")).undefined, "");
  EXPECT_EQ(allowed(two("r1 = load a[0]\n", "r0 = load a[0]\n")).undefined, "");
  EXPECT_EQ(allowed(two("store a[1] 1\n", "r0 = load a[0]\n")).undefined, "");
  // If only some executions see the message, the others still have the race.
  EXPECT_NE(allowed(two("store a[0] 1\nstore a[1] 1 release\n", "r0 = load a[1] acquire\nr1 = load a[0]\n")).undefined, "");
}

TEST(MemoryModel, CoarseBuffersAreHandedOver) {
  const auto undefined = [](const std::string& gpu) {
    return allowed("  a: 2 pages svm-coarse = 0\nthread P.gpu on d\n" + gpu).undefined;
  };
  EXPECT_EQ(undefined("store a[0] 1\nsvm-map a r\nr0 = load a[0] via cpu\nsvm-unmap a\nr1 = load a[0]\n"), "");
  EXPECT_EQ(undefined("r0 = load a[0] via cpu\n"), "'P.gpu: r0 = load a[0] via cpu' on the host, without a map that allows it");
  EXPECT_NE(undefined("svm-map a r\nstore a[0] 1 via cpu\nsvm-unmap a\n"), "");          // mapped for reading
  EXPECT_NE(undefined("svm-map a[0] r\nr0 = load a[1] via cpu\nsvm-unmap a[0]\n"), "");  // not this cell
  EXPECT_NE(undefined("svm-map a r\nsvm-unmap a\nr0 = load a[0] via cpu\n"), "");        // no longer mapped
  EXPECT_EQ(undefined("svm-map a rw\nstore a[0] 1\nsvm-unmap a\n"),
            "'P.gpu: store a[0] 1' on the device, while 'P.gpu: svm-map a rw' has it for the host");
  EXPECT_EQ(undefined("svm-map a r\nr0 = load a[0]\nsvm-unmap a\n"), "");  // both only read
}

TEST(MemoryModel, ADeviceAddressBufferIsHandedOver) {
  const auto undefined = [](const std::string& gpu) {
    return allowed("  a: 2 pages device-address = 0\nthread P.gpu on d\n" + gpu).undefined;
  };
  EXPECT_EQ(undefined("store a[0] 1\nsvm-map a r\nr0 = load a[0] via cpu\nsvm-unmap a\n"), "");
  EXPECT_NE(undefined("store a[0] 1\nr0 = load a[0] via cpu\n"), "");
}

TEST(MemoryModel, UsmIsAFineGrainedBuffer) {
  const Allowed turns = allowed(two("store a[0] 1\nbarrier x\n", "barrier x\nr0 = load a[0]\n", "usm-shared = 0"));
  EXPECT_EQ(loads(turns), "1");
  EXPECT_TRUE(turns.at_once.empty());
  EXPECT_NE(allowed(two("store a[0] 1\n", "r0 = load a[0]\n", "usm-host = 0")).undefined, "");
}

// Any two cells of one allocation count: the extension leaves open how close two accesses may be.
TEST(MemoryModel, WhatHostAndDeviceMayDoAtOnce) {
  const auto pairs = [](const std::string& cpu, const std::string& gpu, const std::string& memory = "usm-shared = 0") {
    std::string text;
    for (const AtOnce& pair : allowed(two(cpu, gpu, memory)).at_once)
      text += (pair.ordered ? "ordered " : "plain ") + pair.accesses + "; ";
    return text;
  };
  EXPECT_EQ(pairs("store a[0] 1\n", "store a[1] 1\n"), "plain 'P.cpu: store a[0] 1' and 'P.gpu: store a[1] 1'; ");
  EXPECT_EQ(pairs("r = load a[0]\n", "migrate a to d\n"), "plain 'P.cpu: r = load a[0]' and 'P.gpu: migrate a to d'; ");
  EXPECT_EQ(pairs("store a[0] 1 release\nstore a[0] 2 release\n", "r = load a[0] acquire\n"),
            "ordered 'P.cpu: store a[0] 1 release' and 'P.gpu: r = load a[0] acquire'; ");
  EXPECT_EQ(pairs("store a[0] 1\nbarrier x\n", "barrier x\nstore a[1] 1\n"), "");
  EXPECT_EQ(pairs("store a[0] 1\n", "store a[1] 1\n", "svm-fine = 0"), "");
}

TEST(MemoryModel, CopiesCarryTheirHome) {
  EXPECT_EQ(loads(allowed(
                "  a: 3 pages svm-coarse = 5\nthread P.gpu on d\nsvm-fill a[0] 7\nsvm-copy a[0] -> a[1]\nsvm-copy a[1] -> a[2]\n"
                "r0 = load a[2]\n")),
            "7@a[0]");
}

// Copies and fills need no SVM buffer. The model of the kernel knows no such commands, so the memory model answers here too.
TEST(MemoryModel, CopiesAndFillsOfOtherMemory) {
  const auto answer = [](const std::string& statements) {
    return loads(predict(parse(
        "scenario t\ndevice d: fatal-faults\nprocess P\n  a: 3 pages anon rw = 5\nthread P.gpu on d\n" + statements, "t.scn")));
  };
  EXPECT_EQ(answer("svm-fill a[0] 7\nr0 = load a[0] via cpu\n"), "7");
  EXPECT_EQ(answer("svm-copy a[0] -> a[1]\nr0 = load a[1]\n"), "5@a[0]");
}

TEST(MemoryModel, AnswersThroughTheOneDoor) {
  const Program program = parse(
      "scenario t\ndevice d: fatal-faults\nprocess P\n" + two("store a[0] 1 seq-cst\n", "r0 = load a[0] seq-cst\n"), "t.scn");
  EXPECT_EQ(loads(predict(program)), "0 1");
  EXPECT_EQ(find_execution(program, {}, [](const Outcome& o) { return o.back() == "1"; })->front().from,
            "P.cpu: store a[0] 1 seq-cst");
  EXPECT_FALSE(find_execution(program, {}, [](const Outcome& o) { return o.back() == "2"; }));
}

}  // namespace
}  // namespace faultline::ref
