#include "harness/app/campaign_journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "harness/run/journal.h"
#include "results/report.h"

namespace faultline::app {

using nlohmann::json;

json to_json(const LabOptions& lab) {
  return {{"kernel", lab.kernel}, {"append", lab.append}, {"modules", lab.modules}, {"gpu", lab.gpu}, {"flavour", lab.flavour}};
}

CampaignJournal read_campaign(const std::string& path) {
  const auto refuse = [&](const std::string& why) { throw BadInput("faultline: --resume " + path + ": " + why + "\n"); };
  std::error_code error;
  // Before it is opened: a FIFO that nobody writes would block.
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) refuse("not a file");
  std::ifstream file(path);
  if (!file) refuse(std::strerror(errno));
  CampaignJournal campaign;
  std::optional<double> began;
  double last = 0;
  const auto end_part = [&] {
    if (began) campaign.elapsed += std::max(0.0, last - *began);  // the machine's clock may have been set back
  };
  for (std::string line; std::getline(file, line);) {
    const json record = json::parse(line, nullptr, false);
    if (!record.is_object()) continue;  // the last line may be cut off
    const bool starts = record.contains("ev") && record["ev"] == "run";
    try {
      if (starts) {
        const std::string program = record.value("program", "");
        if (program != "faultline stress")
          refuse("the journal of '" + printable(program == "faultline" ? "faultline run" : program) +
                 "', not of a campaign; give one that 'faultline stress' has written");
        if (const int version = record.value("journal_version", 0); version != journal_version)
          refuse("journal version " + std::to_string(version) + ", and this program goes on with version " +
                 std::to_string(journal_version) + "; use the faultline that wrote it, or start a new campaign");
        end_part();
        began = record.at("t");
        if (campaign.parts++ == 0) {
          record.at("seconds").get_to(campaign.seconds);
          record.at("seed").get_to(campaign.seed);
          record.at("targets").get_to(campaign.targets);
          record.at("paths").get_to(campaign.paths);
          const json& lab = record.at("lab");
          campaign.lab = {lab.at("kernel"), lab.at("append"), lab.at("modules"), lab.at("gpu"), lab.value("flavour", "")};
        }
      }
      last = record.value("t", last);
    } catch (const json::exception&) {
      if (starts) refuse("not the journal of a campaign");
    }
  }
  end_part();
  if (campaign.parts == 0) refuse("not the journal of a campaign");
  return campaign;
}

}  // namespace faultline::app
