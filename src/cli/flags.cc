#include "cli/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "config/nearest.h"
#include "http/client.h"

namespace seam::cli {
namespace {

// While this is set, commands tell their shape instead of running: parse() and run_group() fill it.
thread_local CommandShape* wanted_shape = nullptr;

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

struct Flags::Parts {
  Parts(const std::string& command, const std::string& description)
      : app(description, "seam " + command) {}

  CLI::App app;
  std::string file;
  std::vector<std::string> values;  // of descriptors(), in its order
  bool takes_settings = false;
  std::string* url = nullptr;
};

Flags::Flags(const std::string& command, const std::string& description, const std::string& example)
    : parts_(std::make_unique<Parts>(command, description)) {
  CLI::App& app = parts_->app;
  app.allow_extras();
  app.footer("Example:\n  " + example);
  app.set_help_flag("-h,--help", "Show this");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

Flags::~Flags() = default;

CLI::App& Flags::app() { return parts_->app; }

void Flags::flag(const std::string& name, bool& out, const std::string& help) {
  parts_->app.add_flag(name, out, help);
}

void Flags::option(const std::string& name, std::string& out, const std::string& help,
                   const std::string& type) {
  parts_->app.add_option(name, out, help)->type_name(type);
}

void Flags::option(const std::string& name, std::vector<std::string>& out, const std::string& help,
                   const std::string& type) {
  parts_->app.add_option(name, out, help)
      ->type_name(type)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->expected(1)
      ->allow_extra_args(false);
}

void Flags::add_settings(SettingFlags which) {
  CLI::App& app = parts_->app;
  parts_->takes_settings = true;
  app.add_option("--config", parts_->file, "A seam.yaml, instead of the one in this directory")
      ->type_name("FILE")
      ->group("Settings");
  parts_->values.resize(descriptors().size());
  for (std::size_t i = 0; i < parts_->values.size(); ++i) {
    const config::Setting& setting = descriptors()[i];
    const bool shown =
        which == SettingFlags::kAll || (which == SettingFlags::kCommon && setting.common) ||
        (which == SettingFlags::kRun && (setting.key == "port" || setting.key == "isolation"));
    const std::string standard =
        which == SettingFlags::kRun && setting.key == "port" ? "8081, or any free one"
        : setting.default_description.empty()                ? setting.default_text
                                                             : setting.default_description;
    app.add_option(setting.flag(), parts_->values[i],
                   fmt::format("{} ({})", setting.description, standard))
        ->type_name(setting.type == config::Type::kInteger ? "N"
                    : setting.type == config::Type::kBytes ? "SIZE"
                                                           : "X")
        ->group(shown ? "Settings" : "");
  }
  if (which == SettingFlags::kCommon || which == SettingFlags::kRun)
    app.footer(app.get_footer() + "\n\nThere are more settings: see `seam config --help`.");
}

void Flags::add_server(std::string& url) {
  parts_->url = &url;
  option("--url", url,
         "Where the server is (http://127.0.0.1:8080, or by host and port of the settings)", "URL");
  add_settings(SettingFlags::kNone);
}

std::optional<CommandResult> Flags::parse(std::vector<std::string> arguments) {
  CLI::App& app = parts_->app;
  const auto wrong = [](const std::string& what) {
    return CommandResult{.exit_code = kUsage, .error = what + "\n"};
  };
  if (wanted_shape != nullptr) {
    wanted_shape->summary = first_line(app.get_description());
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_group().empty()) continue;  // not shown in the help
      const bool by_place = option->get_lnames().empty() && option->get_snames().empty();
      wanted_shape->flags.push_back(
          {.name = by_place ? option->get_name() : "--" + option->get_lnames().front(),
           .help = first_line(option->get_description()),
           .type = option->get_expected_min() == 0 ? "" : option->get_type_name()});
    }
    return CommandResult{};
  }
  std::ranges::reverse(arguments);  // CLI11 takes them from the back
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return CommandResult{.out = app.help()};
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string_view what = error.what();  // "--port: 1 required N missing"
    return wrong(fmt::format("flag {}: needs a value.", what.substr(0, what.find(':'))));
  } catch (const CLI::ParseError& error) {
    return wrong(error.what());
  }
  const std::vector<std::string> extras = app.remaining();
  if (extras.empty()) return std::nullopt;
  if (!extras.front().starts_with('-'))
    return wrong(fmt::format("\"{}\" is not expected here.", extras.front()));
  std::vector<std::string> others;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) others.push_back("--" + name);
  }
  if (parts_->takes_settings)
    return wrong(config::explain_unknown_flag(extras.front(), descriptors(), unbuilt(), others));
  return wrong(config::explain_unknown_flag(extras.front(), {}, {}, others));
}

Result<LoadedSettings> Flags::load(const config::Environment& environment) const {
  config::Sources sources{.environment = environment, .file = parts_->file};
  for (std::size_t i = 0; i < parts_->values.size(); ++i) {
    const config::Setting& setting = descriptors()[i];
    if (parts_->app.count(setting.flag()) > 0)
      sources.flags.emplace_back(setting.flag(), parts_->values[i]);
  }
  return load_settings(sources);
}

Result<std::string> Flags::server(const config::Environment& environment) const {
  std::string url = parts_->url == nullptr ? std::string() : *parts_->url;
  if (url.empty()) {
    SEAM_ASSIGN_OR_RETURN(const LoadedSettings loaded, load(environment));
    const Settings& settings = loaded.settings;
    url = settings.host.contains(':') ? fmt::format("http://[{}]:{}", settings.host, settings.port)
                                      : fmt::format("http://{}:{}", settings.host, settings.port);
  }
  while (url.ends_with('/')) url.pop_back();
  if (Result<void> checked = http::check_url(url); !checked) {
    checked.error().message = fmt::format(
        "{}{}. Give one such as --url http://127.0.0.1:8080.",
        parts_->url != nullptr && !parts_->url->empty() ? "--url: " : "", checked.error().message);
    return std::unexpected(std::move(checked).error());
  }
  return url;
}

CommandResult refuse(const Error& error) {
  return {.exit_code = kUsage, .error = error.message + "\n"};
}

CommandResult run_group(const std::string& group, const std::string& description,
                        std::span<const Command> commands,
                        const std::vector<std::string>& arguments,
                        const CommandLineOptions& options) {
  if (wanted_shape != nullptr) {
    CommandShape& shape = *wanted_shape;
    shape.summary = description;
    for (const Command& command : commands) shape.commands.push_back(shape_of(command, options));
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const Command& command : commands) rows.push_back({"  " + command.name, command.summary});
  const std::string help = fmt::format(
      "{}\n\nUsage: seam {} COMMAND [FLAGS]\n\n{}\nExample:\n  seam {} {}\n\n`seam {} COMMAND "
      "--help` "
      "tells more.\n",
      description, group, align(rows), group, commands.front().name, group);
  if (arguments.empty()) return {.exit_code = kUsage, .error = help};
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") return {.out = help};
  const auto command = std::ranges::find(commands, first, &Command::name);
  if (command != commands.end())
    return command->run({arguments.begin() + 1, arguments.end()}, options);
  std::vector<std::string> names;
  for (const Command& each : commands) names.push_back(each.name);
  const std::string meant = config::nearest(first, names);
  return {.exit_code = kUsage,
          .error =
              fmt::format("seam {} {}: no such command. {}\n", group, first,
                          meant.empty() ? fmt::format("See `seam {} --help`.", group)
                                        : fmt::format("Did you mean `seam {} {}`?", group, meant))};
}

CommandShape shape_of(const Command& command, const CommandLineOptions& options) {
  CommandShape shape;
  shape.name = command.name;
  CommandShape* const outer = wanted_shape;
  wanted_shape = &shape;
  [[maybe_unused]] const CommandResult nothing = command.run({}, options);
  wanted_shape = outer;
  return shape;
}

}  // namespace seam::cli
