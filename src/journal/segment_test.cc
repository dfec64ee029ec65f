#include "journal/segment.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <vector>

#include "journal/crc32c.h"

namespace seam::journal {
namespace {

TEST(Crc32cTest, MatchesTheVectorsOfRfc3720) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xE3069283U);
}

TEST(Crc32cTest, InstructionAndTableAgree) {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(crc32c(text, 7), crc32c_by_table(text, 7));
    text += static_cast<char>(i * 37);
  }
}

TEST(SegmentNameTest, ParsesItsOwnSpellingOnly) {
  EXPECT_EQ(parse_segment_name("3-12.journal"), (SegmentName{3, 12}));
  EXPECT_EQ(format_segment_name({3, 12}), "3-12.journal");
  for (const char* name : {"", "3-12", "03-12.journal", "3-12.journal.tmp", "-1.journal",
                           "a-1.journal", "1-.journal", "4294967296-1.journal", "journal.lock"}) {
    EXPECT_FALSE(parse_segment_name(name).has_value()) << name;
  }
}

class SegmentTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kBytes = 4096;
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "seam-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    Result<MappedSegment> made = MappedSegment::create(directory_, {2, 5}, kBytes);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    segment_.emplace(*std::move(made));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
  std::optional<MappedSegment> segment_;
};

TEST_F(SegmentTest, ReadsWhatWasAppended) {
  SegmentReader reader(segment_->bytes());
  reader.check_header({2, 5});
  EXPECT_FALSE(reader.next().has_value());
  ASSERT_TRUE(segment_->append(4, "first"));
  ASSERT_TRUE(segment_->append(5, ""));
  EXPECT_EQ(reader.next()->bytes, "first");
  const std::optional<Record> second = reader.next();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->sequence, 5U);
  EXPECT_EQ(second->bytes, "");
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_EQ(reader.state(), SegmentReader::State::kOpen);
  segment_->end();
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_EQ(reader.state(), SegmentReader::State::kEnded);
}

TEST_F(SegmentTest, FullSegmentTakesTheLargestRecordAndItsEndMark) {
  EXPECT_FALSE(segment_->append(1, std::string(record_bytes_max(kBytes) + 1, 'x')));
  EXPECT_TRUE(segment_->append(1, std::string(record_bytes_max(kBytes), 'x')));
  EXPECT_FALSE(segment_->append(2, ""));
  segment_->end();
  SegmentReader reader(segment_->bytes());
  EXPECT_EQ(reader.next()->bytes.size(), record_bytes_max(kBytes));
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_EQ(reader.state(), SegmentReader::State::kEnded);
}

TEST_F(SegmentTest, OtherNameOrSizeIsDamage) {
  ASSERT_TRUE(segment_->append(1, "x"));
  for (const SegmentName name : {SegmentName{3, 5}, SegmentName{2, 6}}) {
    SegmentReader reader(segment_->bytes());
    reader.check_header(name);
    EXPECT_EQ(reader.state(), SegmentReader::State::kDamaged);
  }
  SegmentReader shorter(segment_->bytes().first(kBytes - 8));
  shorter.check_header({2, 5});
  EXPECT_EQ(shorter.state(), SegmentReader::State::kDamaged);
}

// A process killed while it makes a segment leaves any of its header but the magic, which is last.
TEST_F(SegmentTest, UnfinishedHeaderIsNoDamageUnlessARecordFollows) {
  std::vector<std::uint64_t> words(kBytes / 8);
  char* const bytes = reinterpret_cast<char*>(words.data());
  for (std::size_t written = 8; written <= kSegmentHeaderBytes; ++written) {
    std::memcpy(bytes + 8, segment_->bytes().data() + 8, written - 8);
    SegmentReader reader({bytes, kBytes});
    reader.check_header({2, 5});
    EXPECT_EQ(reader.state(), SegmentReader::State::kEnded) << written;
  }
  ASSERT_TRUE(segment_->append(1, "x"));
  std::memcpy(bytes + 8, segment_->bytes().data() + 8, kBytes - 8);
  SegmentReader reader({bytes, kBytes});
  reader.check_header({2, 5});
  EXPECT_EQ(reader.state(), SegmentReader::State::kDamaged);
}

// Goal: whatever one byte becomes, reading ends, gives only records that were written, in order,
// and never one after the damage.
TEST_F(SegmentTest, EveryFlippedByteIsFoundOrHarmless) {
  std::vector<std::string> written;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    written.push_back("record " + std::to_string(i) + std::string(i, 'r'));
    ASSERT_TRUE(segment_->append(i, written.back()));
  }
  segment_->end();
  std::vector<std::uint64_t> words(kBytes / 8);
  char* const bytes = reinterpret_cast<char*>(words.data());
  std::memcpy(bytes, segment_->bytes().data(), kBytes);
  std::size_t damaged = 0;
  for (std::size_t at = 0; at < kBytes; ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      const char before = bytes[at];
      bytes[at] = static_cast<char>(before ^ flip);
      SegmentReader reader({bytes, kBytes});
      reader.check_header({2, 5});
      std::size_t count = 0;
      while (const std::optional<Record> record = reader.next()) {
        ASSERT_EQ(record->sequence, count + 1);
        ASSERT_EQ(record->bytes, written[count]) << "byte " << at;
        ++count;
      }
      if (count < written.size()) {
        ++damaged;
        // A length of 0 reads as the end of what was written: nothing else goes unnoticed.
        if (reader.state() == SegmentReader::State::kOpen) {
          std::uint32_t length = 1;
          std::memcpy(&length, bytes + reader.offset(), 4);
          EXPECT_EQ(length, 0U);
        }
      }
      bytes[at] = before;
    }
  }
  EXPECT_GT(damaged, 3U * 40U * 20U);
}

}  // namespace
}  // namespace seam::journal
