"""The invented vocabulary of the simulated world: sentences, names, tags, places.

Owns: word lists, by language code as X writes it. Nothing here comes from a real account or post.
"""

from __future__ import annotations

from typing import NamedTuple


def _parts(text: str, between: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(between))


class Language(NamedTuple):
    """How often a language is used, and with what words."""

    share: float
    words: tuple[str, ...]
    tags: tuple[str, ...]
    joiner: str = " "


LANGUAGES: dict[str, Language] = {
    "pt": Language(
        0.44,
        _parts(
            "hoje amanhã a o de que não com para mais ainda gente cidade bairro posto fila manhã"
            " noite chuva vacina saúde escola trabalho ônibus rua praia café família amigos notícia"
            " dados pesquisa verdade importante agora sempre nunca também você nós eles já vi fui"
            " quero preciso acho muito pouco bom ruim novo velho primeira segunda dose campanha"
            " prefeitura hospital médica enfermeira professor obrigado parabéns atenção cuidado"
            " esperança força coração bem-te-vi jardim"
        ),
        _parts(
            "vacinação saúde SaúdePública educação notícias política ciência Brasil SãoPaulo Recife"
            " economia inflação futebol Libertadores música MPB samba carnaval eleições meioambiente"
            " amazônia clima chuva trânsito TBT BomDia sextou oportunidade emprego tecnologia"
            " dadosabertos açaí pão"
        ),
    ),
    "en": Language(
        0.31,
        _parts(
            "today tomorrow the a of and for with more still people city street queue morning night"
            " rain vaccine health school work bus beach coffee family friends news data research truth"
            " important now always never also you we they saw went want need think much little good"
            " bad new old first second dose campaign hospital doctor nurse teacher thanks"
            " congratulations careful hope strong heart garden quite really maybe because should could"
            " please"
        ),
        _parts(
            "health PublicHealth science news politics education climate ClimateAction economy inflation"
            " football music jazz art books WritingCommunity AI MachineLearning opendata Python startups"
            " travel food coffee MondayMotivation TBT photography nature birds gardening jobs hiring"
        ),
    ),
    "es": Language(
        0.07,
        _parts(
            "hoy mañana el la de que no con para más todavía gente ciudad barrio cola noche lluvia"
            " vacuna salud escuela trabajo calle playa café familia amigos noticia datos verdad"
            " importante ahora siempre nunca también quiero necesito creo mucho poco bueno nuevo"
            " primera segunda dosis"
        ),
        _parts("vacunación salud educación México Colombia noticias economía fútbol música BuenosDías niñez"),
    ),
    "ja": Language(
        0.04,
        _parts(
            "今日は 明日の 天気が とても 良い です ね 病院で 二回目の 接種を"
            " 受けました 朝 仕事 帰り道 雨 花が 咲いた"
        ),
        _parts("コロナ ワクチン 東京 天気 猫 桜 写真好きな人と繋がりたい 朝ごはん ニュース 音楽"),
        "",
    ),
    "hi": Language(
        0.03,
        _parts("आज कल सुबह शहर में लोग अस्पताल टीका बहुत अच्छा समाचार परिवार और काम स्कूल बारिश धन्यवाद नया सच"),
        _parts("देश टीकाकरण समाचार भारत शिक्षा क्रिकेट स्वास्थ्य हिन्दी"),
    ),
    "ar": Language(
        0.02,
        _parts(
            "اليوم غدا صباح الخير المدينة الناس المستشفى لقاح جديد شكرا العائلة العمل المدرسة مطر خبر مهم"
        ),
        _parts("لقاح الصحة أخبار تعليم القاهرة صباح_الخير كرة_القدم"),
    ),
    "in": Language(
        0.02,
        _parts(
            "hari ini besok pagi kota orang rumah sakit vaksin sekolah kerja hujan kabar baik terima kasih"
        ),
        _parts("vaksin Indonesia Jakarta berita kesehatan hujan"),
    ),
    "iw": Language(
        0.01,
        _parts("היום מחר בוקר עיר אנשים בית חולים חיסון חדש תודה משפחה עבודה גשם"),
        _parts("חיסון בריאות חדשות ירושלים"),
    ),
    "und": Language(0.03, _parts("💉 😷 🙏 👏 🔥 ❤️ 👀 😂"), _parts("love TBT foto 2022 vida")),
    "qme": Language(0.02, _parts("👇 📷 🎥 ✨"), _parts("foto photo video art")),
    "qht": Language(0.01, (), _parts("love vida music news")),
}

# Stems of the long tail; two are put together, so that there are some thousands of rare tags.
TAIL_STEMS = _parts(
    "Sol Lua Rio Mar Vento Terra Fogo Festa Feira Rua Praça Livro Filme Jogo Clube Time Rede"
    " Dia Noite Semana Open Green Smart Local Future Street Night Day Week Talk Club Game Book"
    " Film Radio Data Code Maker Run Café Pão Avó Irmã Coração Ação União Paixão Verão Estação"
    " Maçã Português Über Niño Été Ñandú"
)

EMOJI = _parts("💉 😷 🙏 👏 🔥 ❤️ 👀 😂 🇧🇷 👩🏽‍⚕️ 🐦 ☕ 🌧️ 🎉 👍🏿 📈")

FIRST_NAMES = _parts(
    "Ana Bruno Carla Davi Elisa Fábio Graça Hugo Inês João Kátia Léo Marta Nuno Olga Paulo"
    " Quitéria Rui Sílvia Tomás Úrsula Vera Xavier Yara Zeca Aiko Ravi Noor Tova Budi Maya"
    " Omar Emma Liam"
)
LAST_NAMES = _parts(
    "Abacateiro Bandurra Caju Dourado Embaúba Figueira Goiabeira Horta Ipê Jacarandá Lagoa"
    " Mangueira Nascente Oliveirinha Pitanga Quaresmeira Riacho Sabiá Tamarindo Umbuzeiro"
    " Varandas Xaxim Araçá Buriti"
)
DESCRIPTION_PARTS = _parts(
    "Jardim, café & livros|Opinions are my own|Professora de biologia|Data person|Notícias do bairro|"
    "Aqui se fala de pássaros|He/him|Ela/dela|Mãe de dois|Coffee first|Torcedor sofrido|Photographer 📷|"
    "Saúde pública|ほぼ猫の写真|Contato: caixa postal|Nothing posted here is advice|"
    "Pedal, chuva e samba|Runs on açaí|Em construção",
    "|",
)
LOCATIONS = _parts(
    "São Paulo, Brasil|Recife|Belém, PA|Lisboa|Porto Alegre - RS|London|New York, NY|Toronto|"
    "Ciudad de México|Bogotá|東京|Delhi|Cairo|Jakarta|somewhere over the rainbow|🌎|Minas",
    "|",
)
SOURCES = (
    "Twitter for Android",
    "Twitter for iPhone",
    "Twitter Web App",
    "TweetDeck",
    "Twitter for iPad",
    "Bandurra Scheduler",
)
SOURCE_SHARES = (44, 31, 18, 3, 2, 2)
DOMAINS = _parts(
    "jornal.example bairro.example blog.example dados.example video.example loja.example radio.example"
)
# name, full name, country, country code, kind, west, south, east, north
PLACES = (
    ("São Paulo", "São Paulo, Brasil", "Brasil", "BR", "city", -46.83, -24.01, -46.37, -23.36),
    ("Recife", "Recife, Brasil", "Brasil", "BR", "city", -35.02, -8.16, -34.86, -7.93),
    ("Belém", "Belém, Brasil", "Brasil", "BR", "city", -48.62, -1.53, -48.3, -1.02),
    ("Pernambuco", "Pernambuco, Brasil", "Brasil", "BR", "admin", -41.36, -9.48, -32.39, -3.8),
    ("Lisboa", "Lisboa, Portugal", "Portugal", "PT", "city", -9.23, 38.69, -9.09, 38.8),
    ("Manhattan", "Manhattan, NY", "United States", "US", "city", -74.03, 40.68, -73.91, 40.88),
    ("Mexico", "Mexico", "Mexico", "MX", "country", -118.6, 14.39, -86.49, 32.72),
)
ANNOTATIONS = (
    (
        "46",
        "Business Taxonomy",
        "Categories within Brand Verticals",
        "1557697333571112960",
        "Health & Wellness",
    ),
    ("123", "Ongoing News Story", "Ongoing news stories", "1220701888179359745", "Public health"),
    (
        "30",
        "Entities [Entity Service]",
        "Entity Service top level domain",
        "848920371311001600",
        "Technology",
    ),
    ("6", "Sports Event", "A sporting event", "1070712000000000000", "Regional cup"),
    ("131", "Unified Taxonomy", "A taxonomy of user interests", "1046577790353428480", "Cities"),
)
